/* SPDX-License-Identifier: BSD-2-Clause */
/* layer.h: one opened file of a chain: what it says of itself, its block table,
 * and the cache of its bitmaps.
 *
 * A layer knows nothing of the layers above and below it; which of them make a
 * disk, and which one may be written, is the image's business (image.h).  So
 * images can share a layer that nobody writes.
 *
 * What is said to be constant is so from the moment on when a second thread can
 * see the layer.
 *
 * Locking.  `lock` guards everything that is not said to be constant or
 * atomic.  It is held inside a step and never over I/O, and no two layers'
 * locks are held together.  Of a layer that nobody writes only the bitmap cache
 * and the summaries that come with it ever change.
 *
 * The block table can be looked at without the lock: layer_peek(). */
#ifndef IMAGE_LAYER_H
#define IMAGE_LAYER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arith.h"
#include "format/footer.h"
#include "format/header.h"
#include "image/bat.h"
#include "image/bitmaps.h"
#include "image/layout.h"
#include "image/state.h"
#include "image/waiters.h"
#include "store/file.h"
#include "vhdkit.h"

#define LAYER_WARNINGS 8

/* How a layer was opened. */
struct shared_key {
  uint32_t flags;           /* enum vhd_open_flags */
  char *journal_dir;        /* "" where none was named */
};

struct layer {
  _Atomic unsigned refs;

  /* Of the shared ones: shared.h's. */
  bool shared;
  struct layer *next_shared;
  struct shared_key key;

  /* Constant after open. */
  char *path;               /* the file's */
  struct vhd_file *file;    /* owned */
  struct vhd_file *bytes;   /* the same, as it is to be read: with what is only
                             * in the log of a VHDX */
  enum vhd_format format;
  enum vhd_type type;
  bool fixed;               /* or raw: the disk is a stretch of the file */
  uint64_t size;            /* bounds requests */
  uint64_t own_size;        /* its blocks hold somebody's data up to here */
  unsigned block_shift;     /* block size is 1 << block_shift */
  unsigned slot_shift;      /* a slot counts 1 << slot_shift bytes */
  unsigned sector_shift;    /* so many has a sector: a bit of a bitmap */
  uint32_t nblk, spb, bitmap_sec;
  uint32_t nspare;          /* blocks past the end of the disk */
  struct footer footer;
  struct header header;     /* dynamic, differencing; of VHDX empty, as the
                             * footer is */
  struct layout layout;     /* as opened; its arrays are not kept */
  char *parent_name;        /* UTF-8; "" */
  struct file_stamp stamp;  /* of the file, before it was read */
  bool journaled;           /* shows what a journal says and the file not yet */
  char *warning[LAYER_WARNINGS];
  unsigned nwarning;

  /* The block table; written under lock within table_change(). */
  _Atomic uint32_t table_seq;
  struct bat bat;           /* nblk entries; then nspare constant ones */
  _Atomic uint8_t *state;
  _Atomic uint32_t nallocated; /* entries with a slot */

  pthread_mutex_t lock;
  struct waiters blocks;    /* for one that is BUSY or LOADING: key is where its
                             * state is */
  struct bitmaps bitmaps;
};

/* Beside enum vhd_open_flags: the head alone is read (layout_read_head()); such
 * a layer tells what it is and who its parent is, and is of no other use. */
#define LAYER_HEAD (1U << 31)
/* What a file that is not raw may be. */
enum layer_formats {
  LAYER_ANY,
  LAYER_VHD,
  LAYER_VHDX,
};

/* Reads and validates the file and takes it over, also on failure.  flags:
 * enum vhd_open_flags.  *layer has one reference.  Blocks. */
int layer_new(struct vhd_file *file, uint32_t flags,
              enum layer_formats formats, struct layer **layer,
              struct vhd_error *err);
/* A layer that only tells who its parent is: of a file and what is known of it,
 * whose arrays are not taken over.  Takes the file over, also on failure. */
int layer_of_child(struct vhd_file *file, const struct layout *layout,
                   struct layer **layer, struct vhd_error *err);
/* The arrays that were read become the block table.  0 or -ENOMEM. */
int layer_make_table(struct layer *layer, bool writable);

/* The layer that was shared for this file, opened by these flags and with that
 * place for journals, with a reference more; NULL if there is none. */
struct layer *layer_find(struct vhd_file *file, uint32_t flags,
                         const char *journal_dir);
/* Offers a layer that nobody writes, ready for requests, to those who open the
 * same.  *layer may become another, that was offered meanwhile. */
void layer_share(struct layer **layer, uint32_t flags,
                 const char *journal_dir);

struct layer *layer_ref(struct layer *layer);
/* Frees it, and closes its file, with the last; NULL is none. */
void layer_unref(struct layer *layer);

/* Notes a sentence for vhd_warning(). */
void layer_warn(struct layer *layer, const char *text);

/* A block's entry and state, seen together.  Any thread, no lock. */
static inline uint32_t
layer_peek(struct layer *l, uint32_t blk, uint8_t *state)
{
  for (;;) {
    uint32_t seq = atomic_load_explicit(&l->table_seq, memory_order_acquire);
    uint32_t slot = bat_load(&l->bat, blk);
    *state = atomic_load_explicit(&l->state[blk], memory_order_acquire);
    if ((seq & 1) == 0 &&
        seq == atomic_load_explicit(&l->table_seq, memory_order_relaxed))
      return slot;
  }
}

/* A block's slot, or NO_SLOT; under lock. */
static inline uint32_t
layer_slot(const struct layer *l, uint32_t blk)
{
  return bat_slot(&l->bat, blk);
}

/* Changes a block's entry and its summary as one; under lock. */
void layer_set_block(struct layer *layer, uint32_t blk, uint32_t slot,
                     enum summary summary);
/* Changes flags of a block's state alone; under lock. */
void layer_set_flags(struct layer *layer, uint32_t blk, uint8_t set,
                     uint8_t clear);

/* Sectors of the block that belong to somebody: fewer in the last one. */
static inline uint32_t
layer_block_sectors(const struct layer *l, uint32_t blk)
{
  uint64_t left = (l->own_size >> l->sector_shift) - (uint64_t)blk * l->spb;
  return left < l->spb ? (uint32_t)left : l->spb;
}

static inline uint64_t
slot_data_off(const struct layer *l, uint32_t slot)
{
  return ((uint64_t)slot + l->bitmap_sec) << l->slot_shift;
}

/* Where the bitmap of a block lies that has this slot: before the block, or, in
 * a VHDX, with those of its neighbours. */
uint64_t layer_bitmap_off(const struct layer *layer, uint32_t blk,
                          uint32_t slot);

/* Does the child name the parent by the id that this one has? */
bool layer_is_parent(const struct layer *child, const struct layer *layer);
/* The id by which children name this one, as text; and by which this child
 * names its parent.  GUID_TEXT_SIZE. */
void layer_id_text(const struct layer *layer, char *text);
void layer_parent_id_text(const struct layer *child, char *text);

/* The first slot at or behind a sector whose data lie on 4 KiB. */
static inline uint64_t
layer_align_slot(const struct layer *l, uint64_t sec)
{
  return round_up(sec + l->bitmap_sec, 8) - l->bitmap_sec;
}

#endif
