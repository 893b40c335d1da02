/* SPDX-License-Identifier: BSD-2-Clause */
/* map.c: see map.h.
 *
 * One walk down the chain: each layer either decides the range's first part
 * (data, or zeros), or narrows it to what it says nothing of and hands it to
 * its parent. */
#include "config.h"

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/bounds.h"
#include "image/image.h"
#include "image/map.h"

enum verdict {
  DATA,    /* here, at *file_off */
  ZERO,    /* this layer says zeros */
  NOTHING, /* this layer says nothing */
  LOAD,    /* its bitmap is needed */
};

/* What a mixed bitmap says of the sectors from sec on; shortens *nsec. */
static enum verdict
look_at_bitmap(struct layer *l, uint32_t blk, uint32_t sec, uint32_t *nsec)
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
 * within it; shortens *len to where that is true.  last: there is no layer
 * below it. */
static enum verdict
look_at_block(struct layer *l, bool last, uint64_t off, uint64_t *len,
              uint64_t *file_off, struct map_need *need)
{
  uint64_t bs = 1ULL << l->block_shift;
  uint64_t in = off & (bs - 1);
  uint8_t state;

  need->blk = (uint32_t)(off >> l->block_shift);
  uint32_t slot = layer_peek(l, need->blk, &state);
  uint64_t n = MIN(*len, bs - in);
  if (slot == NO_SLOT) {
    uint32_t ahead = last ? LOOKS_AT_ONCE : LOOK_AHEAD;
    uint32_t end = MIN(l->nblk - need->blk, ahead) + need->blk;
    for (uint32_t next = need->blk + 1; n < *len && next < end; next++) {
      need->looked++;
      if (bat_load(&l->bat, next) != NO_SLOT)
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
    v = state & BLOCK_ZERO ? ZERO : NOTHING;
    break;
  case BITS_MIXED: {
    unsigned shift = l->sector_shift;
    uint32_t sec = (uint32_t)(in >> shift);
    uint32_t nsec = (uint32_t)((in + n + (1U << shift) - 1) >> shift) - sec;
    v = look_at_bitmap(l, need->blk, sec, &nsec);
    if (v == LOAD)
      return LOAD;
    n = MIN(n, (((uint64_t)sec + nsec) << shift) - in);
    break;
  }
  default:
    break;
  }
  *len = n;
  *file_off = slot_data_off(l, slot) + in;
  /* In a dynamic disk a sector that was never written is known to be zero. */
  return v == NOTHING && last ? ZERO : v;
}

/* A run without bytes in any file. */
static bool
set_empty(struct vhd_run *run, enum vhd_run_kind kind, unsigned depth,
          uint64_t len)
{
  *run = (struct vhd_run){
    .len = len, .fd = -1, .kind = (uint16_t)kind, .depth = (uint16_t)depth,
  };
  return true;
}

bool
map_from(const struct layers *layers, unsigned from, uint64_t off,
         uint64_t len, struct vhd_run *run, struct map_need *need)
{
  for (unsigned i = from;; i++) {
    struct layer *l = layers->layer[i];
    bool last = i + 1 == layers->n;
    enum verdict v = DATA;

    uint64_t file_off = off;
    need->looked++;
    if (off >= l->size) /* the layer above is larger */
      return set_empty(run, VHD_RUN_HOLE, i, len);
    len = MIN(len, l->size - off);
    if (!l->fixed)
      v = look_at_block(l, last, off, &len, &file_off, need);
    if (v == DATA)
      return map_set_data(run, l, i, file_off, len);
    if (v == LOAD) {
      need->layer = l;
      return false;
    }
    if (v == ZERO || last)
      return set_empty(run, v == ZERO ? VHD_RUN_ZERO : VHD_RUN_HOLE, i, len);
  }
}

enum map_holds
map_ancestor_holds(const struct layers *layers, uint64_t *off, uint64_t end,
                   struct map_need *need)
{
  struct vhd_run run;

  if (layers->n == 1)
    return MAP_HOLDS_NONE;
  for (; *off < end; *off += run.len) {
    if (map_is_long(need))
      return MAP_HOLDS_LONG;
    if (!map_from(layers, 1, *off, end - *off, &run, need))
      return MAP_HOLDS_LOAD;
    if (run.kind == VHD_RUN_DATA)
      return MAP_HOLDS_DATA;
  }
  return MAP_HOLDS_NONE;
}
