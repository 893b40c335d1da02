/* SPDX-License-Identifier: BSD-2-Clause */
/* map.c: see map.h.
 *
 * One walk down the chain: each layer either decides the range's first part
 * (data, or zeros), or narrows it to what it says nothing of and hands it to
 * its parent. */
#include "config.h"

#include "base/arith.h"
#include "base/bitmap.h"
#include "image/image.h"
#include "image/map.h"

/* How far a layer with a parent looks ahead over blocks it does not have: the
 * parent may cut the range short, and looking again costs as much. */
#define LOOK_AHEAD 64

enum verdict {
  DATA,    /* here, at *file_off */
  ZERO,    /* this layer says zeros */
  NOTHING, /* this layer says nothing */
  LOAD,    /* its bitmap is needed */
};

/* What a mixed bitmap says of the sectors from sec on; shortens *nsec. */
static enum verdict
look_at_bitmap(struct vhd_image *l, uint32_t blk, uint32_t sec, uint32_t *nsec)
{
  enum verdict v = LOAD;

  pthread_mutex_lock(&l->lock);
  struct bitmap *b = bitmaps_find(&l->bitmaps, blk);
  if (b && !(b->flags & BITMAP_LOADING)) {
    const uint8_t *bits = bitmaps_bits(&l->bitmaps, b);
    v = bitmap_test(bits, sec) ? DATA : NOTHING;
    *nsec = bitmap_run(bits, sec, sec + *nsec);
  }
  pthread_mutex_unlock(&l->lock);
  return v;
}

/* What one dynamic or differencing layer says of [off, off + *len), which lies
 * within it; shortens *len to where that is true. */
static enum verdict
look_at_block(struct vhd_image *l, uint64_t off, uint64_t *len,
              uint64_t *file_off, uint32_t *blk)
{
  uint64_t bs = 1ULL << l->block_shift;
  uint64_t in = off & (bs - 1);
  uint8_t state;

  *blk = (uint32_t)(off >> l->block_shift);
  uint32_t slot = image_peek(l, *blk, &state);
  uint64_t n = MIN(*len, bs - in);
  if (slot == NO_SLOT) {
    uint32_t last = l->parent ? MIN(l->nblk - *blk, LOOK_AHEAD) + *blk
                              : l->nblk;
    for (uint32_t next = *blk + 1; n < *len && next < last; next++) {
      if (atomic_load_explicit(&l->bat[next], memory_order_relaxed) != NO_SLOT)
        break;
      n = MIN(*len, n + bs);
    }
    *len = n;
    return NOTHING;
  }

  enum verdict v = DATA;
  switch (summary_of(state)) {
  case BITS_UNKNOWN:
    return LOAD;
  case BITS_NONE:
    v = NOTHING;
    break;
  case BITS_MIXED: {
    uint32_t sec = (uint32_t)(in / 512);
    uint32_t nsec = (uint32_t)((in + n + 511) / 512) - sec;
    v = look_at_bitmap(l, *blk, sec, &nsec);
    if (v == LOAD)
      return LOAD;
    n = MIN(n, ((uint64_t)sec + nsec) * 512 - in);
    break;
  }
  default:
    break;
  }
  *len = n;
  *file_off = slot_data_off(l, slot) + in;
  /* In a dynamic disk a sector that was never written is known to be zero. */
  return v == NOTHING && !l->parent ? ZERO : v;
}

bool
map_next(struct vhd_image *img, uint64_t off, uint64_t len,
         struct vhd_run *run, struct map_need *need)
{
  struct vhd_image *l = img;

  run->depth = 0;
  run->file = NULL;
  run->fd = -1;
  run->file_off = 0;
  for (;;) {
    enum verdict v = DATA;

    if (off >= l->size) { /* the child is larger */
      run->kind = VHD_RUN_HOLE;
      break;
    }
    len = MIN(len, l->size - off);
    if (l->fixed)
      run->file_off = off;
    else
      v = look_at_block(l, off, &len, &run->file_off, &need->blk);
    if (v == DATA) {
      run->kind = VHD_RUN_DATA;
      run->file = l->file;
      run->fd = l->file->fd;
      break;
    }
    if (v == LOAD) {
      need->image = l;
      return false;
    }
    if (v == ZERO || !l->parent) {
      run->kind = v == ZERO ? VHD_RUN_ZERO : VHD_RUN_HOLE;
      run->file_off = 0;
      break;
    }
    l = l->parent;
    run->depth++;
  }
  run->len = len;
  return true;
}

int
map_ancestor_holds(struct vhd_image *img, uint64_t off, uint64_t len,
                   struct map_need *need)
{
  struct vhd_run run;

  if (!img->parent || off >= img->parent->size)
    return 0;
  len = MIN(len, img->parent->size - off);
  for (uint64_t end = off + len; off < end; off += run.len) {
    if (!map_next(img->parent, off, end - off, &run, need))
      return -1;
    if (run.kind == VHD_RUN_DATA)
      return 1;
  }
  return 0;
}
