/* SPDX-License-Identifier: BSD-2-Clause */
/* map.h: where does this range lie?  The one answer to it, for reads, block
 * status, hole chunks, zeroes over ancestors, and the operations.
 *
 * Pure but for the short lock of a bitmap cache; any thread. */
#ifndef IMAGE_MAP_H
#define IMAGE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"
#include "vhdkit.h"

/* A bitmap that must be loaded before the question can be answered. */
struct map_need {
  struct layer *layer;
  uint32_t blk;
};

/* The run that begins at off, as seen from the top of the layers, no longer
 * than len.  off + len lies within them; len > 0.  False: *need must be
 * loaded. */
bool map_next(const struct layers *layers, uint64_t off, uint64_t len,
              struct vhd_run *run, struct map_need *need);
/* The same as seen from below its top, of an image that is a child; off may
 * lie beyond what is there. */
bool map_below(const struct layers *layers, uint64_t off, uint64_t len,
               struct vhd_run *run, struct map_need *need);

/* Does any layer below the top hold data in the range?  0 no, 1 yes, -1
 * *need. */
int map_ancestor_holds(const struct layers *layers, uint64_t off, uint64_t len,
                       struct map_need *need);

#endif
