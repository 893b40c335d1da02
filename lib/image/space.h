/* SPDX-License-Identifier: BSD-2-Clause */
/* space.h: where new blocks of one image go, and where freed ones wait.
 *
 * A slot is the place of one block: bitmap_sec + spb sectors, so laid that its
 * data lie on 4 KiB.  New blocks take
 *   - a freed slot, once nobody can still be looking at it; or
 *   - the next slot of the runway, the stretch between the last block and the
 *     footer, which grows in steps by requests that find it too short.
 * A slot that a block left goes: pending, until the BAT without it is durable;
 * then retired; then, once its space has been given back, free.  Retired ones
 * can be used again at once.  What a request is handed either reads as zeros
 * (clean), or is to be punched first (dirty).
 *
 * A slot is used again only when nobody can look at it: when the requests that
 * were under way as the block left it have ended (epochs, image.h), and none of
 * the runs that a client has pinned lies in it (holds).
 *
 * The last block of a disk that does not end on a block may lie in a shorter
 * place than a slot, with something else right behind it.  Such a place is
 * punched for its own length, and no other block ever lies there.
 *
 * The file ends in a footer at each moment.  When the runway grows, its space
 * is set aside beyond the end, and one write of a footer moves the end to where
 * it lies.  Only when that is durable, so that a power cut cannot leave the end
 * among a block's bytes, the old footer is wiped and the new part is used.
 *
 * All functions: caller holds the image's lock. */
#ifndef IMAGE_SPACE_H
#define IMAGE_SPACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bounds.h"
#include "format/footer.h"
#include "image/waiters.h"

struct vhd_image;
struct vhd_request;
struct layout;

struct left_slot {
  uint32_t slot;
  uint32_t epoch; /* in which the block left it */
};

struct free_slot {
  uint32_t slot;
  uint32_t epoch;
  bool dirty;
};

struct space {
  uint32_t slot_sec;    /* sectors of a slot */
  uint32_t stride;      /* from one slot of the runway to the next */
  uint32_t short_slot;  /* one that something else lies in; NO_SLOT: none */
  uint32_t short_sec;   /* and its length */
  uint64_t next;        /* the runway's next slot, sector */
  uint64_t end;         /* where the runway ends, sector: the footer's place */
  bool dirty;           /* the runway may hold stale bytes */
  bool end_footer;      /* a footer of ours or others lies at `end` */
  bool straddles;       /* and reaches into the sector behind it */
  uint64_t step;        /* bytes by which the runway grows next */
  bool reserve;         /* new space is set aside as a whole */
  uint64_t reserved_from; /* sector; so it was from there on */
  uint64_t file_size;   /* where the file ends */
  bool overlong;        /* it does not: a footer that failed lies behind */
  bool touched;         /* there may be something to give back at its end */

  bool syncing;         /* the new footer is being made durable */
  struct vhd_request *grower; /* who lengthens or cleans the runway */
  struct waiters waiting;   /* for the grower, and for a commit's .syncing */
  uint64_t grow_end;    /* file size when it is done */
  uint8_t footer[FOOTER_SIZE];

  /* A ring of nleft: from retired_head retired, from pending_head pending. */
  struct left_slot *left;
  uint32_t nleft;
  uint32_t retired_head, pending_head;
  struct free_slot *free; /* ring */
  uint32_t free_head, free_tail, free_mask;
  _Atomic uint32_t *held; /* pinned runs, by the place on the runway's grid,
                           * modulo the size of this table */
  uint32_t held_origin;
  uint32_t given;       /* how many slots have become a block's */
};

/* Takes over what the layout knows; for writable images. */
int space_init(struct vhd_image *img, const struct layout *layout);
void space_destroy(struct space *s);

/* A process that was killed left bytes in free places, as of blocks that it had
 * not punched yet: they are given back as if blocks had just left them. */
void space_give_back(struct vhd_image *img);

/* What a request is handed. */
struct taken_slot {
  uint32_t slot; /* its sector */
  bool dirty;    /* it is to be punched first */
  bool sparse;   /* not all of it has its space on the disk below */
};

/* False if the runway must grow (or be cleaned) for one. */
bool space_take(struct vhd_image *img, struct taken_slot *taken);
/* A slot that was taken and never became a block's: what was written there is
 * to be given back. */
void space_untake(struct vhd_image *img, uint32_t slot);
/* What is free now is the caller's: nobody else is handed any of it. */
void space_forget_free(struct vhd_image *img);

/* A block left this slot.  There must be room. */
void space_retire(struct vhd_image *img, uint32_t slot);
static inline uint32_t
space_nretired(const struct space *s)
{
  return s->pending_head - s->retired_head;
}
static inline uint32_t
space_npending(const struct space *s)
{
  return s->nleft - space_nretired(s);
}
/* Behind all that are pending. */
static inline uint32_t
space_mark(const struct space *s)
{
  return s->retired_head + s->nleft;
}
/* The table without the slots that were pending before the mark is durable. */
void space_committed(struct vhd_image *img, uint32_t mark);
/* Takes a retired slot out, for its space to be given back.  False: none. */
bool space_begin_reclaim(struct vhd_image *img, struct left_slot *left);
/* It is free; clean: and reads as zeros. */
void space_end_reclaim(struct vhd_image *img, const struct left_slot *left,
                       bool clean);
/* Is there something free; or will there be once those have ended who may still
 * look at it? */
enum space_outlook { SPACE_NONE, SPACE_NOW, SPACE_LATER };
enum space_outlook space_outlook(struct vhd_image *img);

/* Counts the pinned runs in the slot in which a byte of the file lies.  Any
 * thread, no lock; a hold is begun within an epoch for which the slot is looked
 * at. */
static inline _Atomic uint32_t *
space_hold_of(struct space *s, uint64_t off)
{
  return &s->held[(off / 512 - s->held_origin) / s->stride & s->free_mask];
}

/* How much of the file a slot is. */
static inline uint64_t
space_slot_bytes(const struct space *s, uint32_t slot)
{
  return (slot == s->short_slot ? s->short_sec : s->slot_sec) * 512ULL;
}

/* The runway's growth by one step: what the file's new size is to be, or
 * -EFBIG. */
int space_plan_growth(struct vhd_image *img);
/* The step was too long for the disk.  False if it was the shortest. */
bool space_shorten_step(struct vhd_image *img);
/* It is done, the footer durable; wiped: so is the old one. */
void space_grown(struct vhd_image *img, bool wiped);
/* The old footer's place, where it is part of the runway: bytes; or 0. */
uint64_t space_old_footer(const struct space *s, uint64_t *off);

/* The first byte behind the last block and all metadata. */
uint64_t space_used_end(struct vhd_image *img);

#endif
