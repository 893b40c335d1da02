/* SPDX-License-Identifier: BSD-2-Clause */
/* bitmap.h: bitmaps as VHD orders them: the most significant bit of byte 0 is
 * bit 0.  VHDX's are turned into such (bitmap_turn()).  Any thread; no locking
 * of its own. */
#ifndef BASE_BITMAP_H
#define BASE_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool
bitmap_test(const uint8_t *map, uint32_t bit)
{
  return map[bit / 8] >> (7 - bit % 8) & 1;
}

/* Sets one bit.  Was it set before? */
static inline bool
bitmap_add(uint8_t *map, uint32_t bit)
{
  uint8_t mask = 0x80 >> bit % 8;
  bool was = map[bit / 8] & mask;

  map[bit / 8] |= mask;
  return was;
}

/* How many bits from `from` on, at most up to `end`, equal the bit at `from`.
 * from < end. */
uint32_t bitmap_run(const uint8_t *map, uint32_t from, uint32_t end);

void bitmap_set(uint8_t *map, uint32_t from, uint32_t n);
void bitmap_clear(uint8_t *map, uint32_t from, uint32_t n);

/* Turns the bits of each of n bytes round: from the order in which the least
 * significant bit is first to ours, and back. */
void bitmap_turn(uint8_t *map, size_t n);

#endif
