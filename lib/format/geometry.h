/* SPDX-License-Identifier: BSD-2-Clause */
/* geometry.h: cylinders, heads and sectors from a size, as the specification
 * computes them.  Pure. */
#ifndef FORMAT_GEOMETRY_H
#define FORMAT_GEOMETRY_H

#include <stdint.h>

struct geometry {
  uint16_t cylinders;
  uint8_t heads, sectors;
};

struct geometry geometry_for_size(uint64_t size);

static inline uint64_t
geometry_size(struct geometry g)
{
  return (uint64_t)g.cylinders * g.heads * g.sectors * 512;
}

#endif
