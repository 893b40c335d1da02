/* SPDX-License-Identifier: BSD-2-Clause */
/* map.h: where does this range lie?  The one answer to it, for reads, block
 * status, hole chunks, zeroes over ancestors, and the operations.
 *
 * Pure but for the short lock of a bitmap cache; any thread. */
#ifndef IMAGE_MAP_H
#define IMAGE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arith.h"
#include "base/bounds.h"
#include "image/image.h"
#include "vhdkit.h"

/* A bitmap that must be loaded before the question can be answered.  And what
 * the answers cost: .looked grows by the layers and the entries of their tables
 * that were looked at, but for what map_next() answers by itself. */
struct map_need {
  struct layer *layer;
  uint32_t blk;
  uint32_t looked;
};

/* The caller has looked at enough for one step (LOOKS_AT_ONCE). */
static inline bool
map_is_long(const struct map_need *need)
{
  return need->looked >= LOOKS_AT_ONCE;
}

/* The run that begins at off, as seen from one layer down, no longer than len;
 * off may lie beyond the end of a layer below the top.  len > 0.  Its depth
 * counts from the top.  False: *need must be loaded. */
bool map_from(const struct layers *layers, unsigned from, uint64_t off,
              uint64_t len, struct vhd_run *run, struct map_need *need);

static inline bool
map_set_data(struct vhd_run *run, const struct layer *l, unsigned depth,
             uint64_t file_off, uint64_t len)
{
  run->len = len;
  run->file_off = file_off;
  run->file = l->bytes;
  run->fd = l->bytes->fd;
  run->kind = VHD_RUN_DATA;
  run->depth = (uint16_t)depth;
  return true;
}

/* The run that begins at off, as seen from the top of the layers.  off + len
 * lies within them.
 *
 * Mostly a layer has either nothing of a block, and is asked for no more than
 * that block, or all of it: that much is looked at here. */
static inline bool
map_next(const struct layers *layers, uint64_t off, uint64_t len,
         struct vhd_run *run, struct map_need *need)
{
  unsigned i = 0;

  for (;; i++) {
    struct layer *l = layers->layer[i];
    uint8_t state;

    if (l->fixed || off >= l->size)
      break;
    uint64_t bs = 1ULL << l->block_shift, in = off & (bs - 1);
    uint64_t left = MIN(bs - in, l->size - off);
    uint32_t slot = layer_peek(l, (uint32_t)(off >> l->block_shift), &state);
    if (slot != NO_SLOT && summary_of(state) == BITS_ALL)
      return map_set_data(run, l, i, slot_data_off(l, slot) + in,
                          MIN(len, left));
    if (slot != NO_SLOT || len > left || i + 1 == layers->n)
      break;
  }
  return map_from(layers, i, off, len, run, need);
}

enum map_holds {
  MAP_HOLDS_NONE,
  MAP_HOLDS_DATA,
  MAP_HOLDS_LOAD, /* *need must be loaded */
  MAP_HOLDS_LONG, /* map_is_long(): go on later */
};

/* Does any layer below the top hold data in [*off, end)?  Before *off, which
 * moves on, none does. */
enum map_holds map_ancestor_holds(const struct layers *layers, uint64_t *off,
                                  uint64_t end, struct map_need *need);

#endif
