/* SPDX-License-Identifier: BSD-2-Clause */
/* free.h: which bytes of a disk the file systems inside do not use.  Whatever
 * is not known to be free is taken to be in use: what no known file system
 * holds, gaps between partitions, and all of what is not known. */
#ifndef TOOL_INSIDE_FREE_H
#define TOOL_INSIDE_FREE_H

#include <stddef.h>

#include "vhdkit.h"

struct free_part;

/* clang-format off */
struct free_map {
  struct free_part *part; /* with a file system, in ascending order */
  size_t n;
  bool found;             /* they were looked for */
  /* The last answer: from here to its end, and where it began. */
  uint64_t from, off, len;
};
/* clang-format on */

/* Was vhdkit built with what is needed? */
bool free_can_look(void);

/* For struct vhd_compact_options; opaque is a struct free_map, of zeros at
 * first.  The first call looks at all there is.  Fails where a file system is
 * not clean. */
int free_next(void *opaque, struct vhd_image *image, uint64_t from,
              uint64_t *off, uint64_t *len, struct vhd_error *err);

void free_map_free(struct free_map *map);

#endif
