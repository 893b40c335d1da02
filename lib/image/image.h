/* SPDX-License-Identifier: BSD-2-Clause */
/* image.h: one opened file and the chain below it, as the rooms of image/ see
 * it: the block table, its lock, and who waits for what.
 *
 * Locking.  `lock` guards everything that is not said to be constant or
 * atomic.  It is held inside a step and never over I/O.  Parents are read-only
 * and their mapping constant; their lock guards only their bitmap cache.  A
 * child's lock and its parent's are never held together.
 *
 * The block table can be looked at without the lock: image_peek(). */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "format/footer.h"
#include "format/header.h"
#include "image/bitmaps.h"
#include "image/commit.h"
#include "image/journal.h"
#include "image/layout.h"
#include "image/space.h"
#include "store/file.h"
#include "store/journal_file.h"
#include "vhdkit.h"

/* What a block's bitmap says, in the low bits of its state. */
enum summary {
  BITS_UNKNOWN, /* not read yet */
  BITS_NONE,
  BITS_ALL,
  BITS_MIXED,   /* the bitmap is, or must be got, in the cache */
  BITS_MASK = 3,
};

/* And what goes on with it. */
enum block_flags {
  BLOCK_BUSY = 1 << 2,    /* a request is changing its mapping */
  BLOCK_LOADING = 1 << 3, /* a request is reading its bitmap */
  BLOCK_DIRTY = 1 << 4,   /* has an entry in the dirty set */
};

#define IMAGE_WARNINGS 8

struct vhd_image {
  /* Constant after open. */
  char *path;
  struct vhd_file *file;
  struct vhd_image *parent; /* owned; NULL */
  bool writable;
  bool fixed;               /* or raw: the disk is a stretch of the file */
  bool unlocked;            /* others may be writing to it */
  bool orphan;              /* opened without its parent: not to be read */
  bool write_through;       /* no journal: metadata is durable before the ack */
  uint64_t size;
  unsigned block_shift;     /* block size is 1 << block_shift */
  uint32_t nblk, spb, bitmap_sec;
  unsigned depth;
  struct footer footer;
  struct header header;     /* dynamic, differencing */
  struct layout layout;     /* as opened; its arrays are not kept */
  char *parent_name;        /* UTF-8; "" */
  int64_t mtime;            /* of the file, at open; seconds since 1970 */
  char *warning[IMAGE_WARNINGS];
  unsigned nwarning;

  /* The block table; written under lock within table_change(). */
  _Atomic uint32_t table_seq;
  _Atomic uint32_t *bat;
  _Atomic uint8_t *state;
  _Atomic uint32_t nallocated; /* entries with a slot */

  /* Requests in flight by the parity of the epoch they began in (P4). */
  _Atomic uint32_t epoch;
  _Atomic uint32_t inflight[2];

  /* How many data-changing I/Os were ever completed. */
  _Atomic uint64_t write_seq;
  _Atomic int failed; /* -errno of a failed sync: nothing can be promised */

  pthread_mutex_t lock;
  struct vhd_request *parked; /* list through machine.next */
  struct bitmaps bitmaps;
  struct space space;
  struct commit commit;
  struct journal *journal;
  struct journal_file journal_file; /* what the journal lies in, if a file */
};

/* A block's entry and state, seen together.  Any thread, no lock. */
static inline uint32_t
image_peek(struct vhd_image *img, uint32_t blk, uint8_t *state)
{
  for (;;) {
    uint32_t seq = atomic_load_explicit(&img->table_seq, memory_order_acquire);
    uint32_t slot = atomic_load_explicit(&img->bat[blk], memory_order_acquire);
    *state = atomic_load_explicit(&img->state[blk], memory_order_acquire);
    if ((seq & 1) == 0 &&
        seq == atomic_load_explicit(&img->table_seq, memory_order_relaxed))
      return slot;
  }
}

/* Changes a block's entry and its summary as one; under lock. */
void image_set_block(struct vhd_image *img, uint32_t blk, uint32_t slot,
                     enum summary summary);
/* Changes flags of a block's state alone; under lock. */
void image_set_flags(struct vhd_image *img, uint32_t blk, uint8_t set,
                     uint8_t clear);

static inline enum summary
summary_of(uint8_t state)
{
  return (enum summary)(state & BITS_MASK);
}

/* Sectors of the block that belong to the disk: fewer in the last one. */
static inline uint32_t
image_block_sectors(const struct vhd_image *img, uint32_t blk)
{
  uint64_t left = img->size / 512 - (uint64_t)blk * img->spb;
  return left < img->spb ? (uint32_t)left : img->spb;
}

static inline uint64_t
slot_data_off(const struct vhd_image *img, uint32_t slot)
{
  return ((uint64_t)slot + img->bitmap_sec) * 512;
}

/* ---------------------------------------------------------------- waiting */

/* Puts a request among the parked, to wait for what key stands for (any
 * address).  Under lock; the request must not be touched after it is let go. */
void image_park(struct vhd_image *img, struct vhd_request *req,
                const void *key);
/* Takes those that wait for key from the list; under lock.  They are to be
 * handed to image_wake() once the lock is let go. */
struct vhd_request *image_unpark(struct vhd_image *img, const void *key);
void image_wake(struct vhd_request *list);

/* ----------------------------------------------------------------- epochs */

/* A request that may look at slots is pinned to the epoch in which it began;
 * a slot that was freed in epoch e is free of onlookers from e + 2 on. */
uint32_t image_pin(struct vhd_image *img);
void image_unpin(struct vhd_image *img, uint32_t epoch);
/* Goes on to the next epoch if nobody is left in the one before. */
void image_try_advance(struct vhd_image *img);

#endif
