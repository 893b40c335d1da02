/* SPDX-License-Identifier: BSD-2-Clause */
/* geometry.c: the specification's computation of a disk geometry.  Pure. */
#include "config.h"

#include "base/arith.h"
#include "format/geometry.h"

struct geometry
geometry_for_size(uint64_t size)
{
  uint32_t nsec = (uint32_t)MIN(size / 512, (uint64_t)65535 * 16 * 255);
  uint32_t sectors, heads, tracks;

  if (nsec >= 65535U * 16 * 63) {
    sectors = 255;
    heads = 16;
    tracks = nsec / sectors;
  } else {
    sectors = 17;
    tracks = nsec / sectors;
    heads = MAX(DIV_ROUND_UP(tracks, 1024), 4U);
    if (tracks >= heads * 1024 || heads > 16) {
      sectors = 31;
      heads = 16;
      tracks = nsec / sectors;
    }
    if (tracks >= heads * 1024) {
      sectors = 63;
      heads = 16;
      tracks = nsec / sectors;
    }
  }
  return (struct geometry) {
    .cylinders = (uint16_t)(tracks / heads),
    .heads = (uint8_t)heads,
    .sectors = (uint8_t)sectors,
  };
}
