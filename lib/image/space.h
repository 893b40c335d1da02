/* SPDX-License-Identifier: BSD-2-Clause */
/* space.h: where new blocks of one image go, and where freed ones wait.
 *
 * A slot is the place of one block: bitmap_sec + spb sectors, so laid that its
 * data lie on 4 KiB.  New blocks take
 *   - a freed slot, once nobody can still be looking at it; or
 *   - the next slot of the runway, the stretch between the last block and the
 *     footer, which grows in steps by requests that find it too short.
 * A slot that a block left goes: pending, until the BAT without it is durable;
 * then punched; then free.  What a request is handed either reads as zeros
 * (clean), or is to be punched first (dirty).
 *
 * When the runway grows, a footer is written at the new end, and the place of
 * the old one becomes a scar: the old footer may be wiped only once the new one
 * is durable.  A slot that covers a scar is dirty; before that it is not handed
 * out but made pending, for the next commit to free.
 *
 * All functions: caller holds the image's lock. */
#ifndef IMAGE_SPACE_H
#define IMAGE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bounds.h"
#include "format/footer.h"

struct vhd_image;
struct vhd_request;
struct layout;

struct pending_slot {
  uint32_t slot;
  uint32_t epoch; /* in which the block left it */
};

struct free_slot {
  uint32_t slot;
  uint32_t epoch;
  bool dirty;
};

/* Where a footer was, and the write_seq that makes its successor durable. */
struct scar {
  uint64_t sec;
  uint64_t seq;
};

struct space {
  uint32_t slot_sec;    /* sectors of a slot */
  uint32_t stride;      /* from one slot of the runway to the next */
  uint64_t next;        /* the runway's next slot, sector */
  uint64_t end;         /* where the runway ends, sector: the footer's place */
  bool dirty;           /* the runway may hold stale bytes */
  bool end_footer;      /* a footer of ours or others lies at `end` */
  bool straddles;       /* and reaches into the sector behind it */
  struct scar scar[SPACE_SCARS];
  unsigned nscar;
  uint64_t step;        /* bytes by which the runway grows next */
  bool reserve;         /* with fallocate */
  bool touched;         /* there may be something to give back at its end */

  struct vhd_request *grower; /* who lengthens or cleans the runway */
  uint64_t grow_end;    /* file size when it is done */
  uint8_t footer[FOOTER_SIZE];

  struct pending_slot *pending; /* ring */
  uint32_t pending_head, pending_tail;
  struct free_slot *free;       /* ring */
  uint32_t free_head, free_tail, free_mask;
};

/* Takes over what the layout knows; for writable images. */
int space_init(struct vhd_image *img, const struct layout *layout);
void space_destroy(struct space *s);

/* Hands out a slot: its sector, and whether it must be punched first.  False if
 * the runway must grow (or be cleaned) for it. */
bool space_take(struct vhd_image *img, uint32_t *slot, bool *dirty);
/* A slot that was taken and never became a block's. */
void space_untake(struct vhd_image *img, uint32_t slot);

/* A block left this slot.  There must be room. */
void space_retire(struct vhd_image *img, uint32_t slot);
static inline uint32_t
space_npending(const struct space *s)
{
  return s->pending_tail - s->pending_head;
}
/* The oldest pending slot, its table entry durably gone and now punched:
 * free. */
void space_recycle(struct vhd_image *img, bool clean);

/* The runway's growth by one step: what the file's new size is to be, or
 * -EFBIG. */
int space_plan_growth(struct vhd_image *img);
/* The step was too long for the disk.  False if it was the shortest. */
bool space_shorten_step(struct vhd_image *img);
/* It is done, the footer written; durable: and synced. */
void space_grown(struct vhd_image *img, bool durable);

/* The first byte behind the last block and all metadata. */
uint64_t space_used_end(struct vhd_image *img);

#endif
