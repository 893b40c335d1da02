/* SPDX-License-Identifier: BSD-2-Clause */
/* bitmap.c: runs of bits, 64 at a time.  Owns nothing; any thread. */
#include "config.h"

#include <endian.h>
#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"

uint32_t
bitmap_run(const uint8_t *map, uint32_t from, uint32_t end)
{
  /* Flipped so that the run is of zeros; its end is then the first one. */
  uint64_t flip = bitmap_test(map, from) ? UINT64_MAX : 0;
  uint32_t bit = from;

  while (bit < end) {
    if (bit % 8 == 0 && end - bit >= 64) {
      uint64_t word;
      memcpy(&word, map + bit / 8, sizeof word);
      word = be64toh(word) ^ flip;
      if (word != 0)
        return bit + (uint32_t)__builtin_clzll(word) - from;
      bit += 64;
    } else {
      uint32_t byte = (map[bit / 8] ^ flip) << bit % 8 & 0xff;
      if (byte != 0) {
        bit += (uint32_t)__builtin_clz(byte << 24);
        break;
      }
      bit += 8 - bit % 8;
    }
  }
  return MIN(bit, end) - from;
}

/* The bits [from, to) of one byte; 0 <= from < to <= 8. */
static uint8_t
byte_mask(uint32_t from, uint32_t to)
{
  return (uint8_t)(0xff >> from & 0xff << (8 - to));
}

static void
fill(uint8_t *map, uint32_t from, uint32_t n, bool value)
{
  while (n > 0) {
    uint32_t first = from % 8;
    uint32_t now = MIN(8 - first, n);

    if (now == 8) {
      now = round_down(n, 8);
      memset(map + from / 8, value ? 0xff : 0, now / 8);
    } else if (value) {
      map[from / 8] |= byte_mask(first, first + now);
    } else {
      map[from / 8] &= (uint8_t)~byte_mask(first, first + now);
    }
    from += now;
    n -= now;
  }
}

void
bitmap_set(uint8_t *map, uint32_t from, uint32_t n)
{
  fill(map, from, n, true);
}

void
bitmap_clear(uint8_t *map, uint32_t from, uint32_t n)
{
  fill(map, from, n, false);
}

void
bitmap_turn(uint8_t *map, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    uint32_t byte = map[i];
    byte = (byte & 0x0f) << 4 | byte >> 4;
    byte = (byte & 0x33) << 2 | (byte >> 2 & 0x33);
    map[i] = (uint8_t)((byte & 0x55) << 1 | (byte >> 1 & 0x55));
  }
}
