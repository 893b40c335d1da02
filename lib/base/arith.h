/* SPDX-License-Identifier: BSD-2-Clause */
/* arith.h: arithmetic on sizes that come from a file.  Pure; any thread. */
#ifndef BASE_ARITH_H
#define BASE_ARITH_H

#include <stdbool.h>
#include <stdint.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))

static inline bool
is_power_of_two(uint64_t v)
{
  return v != 0 && (v & (v - 1)) == 0;
}

/* For a power of two; v must not be near the top of its range. */
static inline uint64_t
round_up(uint64_t v, uint64_t to)
{
  return (v + to - 1) & ~(to - 1);
}

static inline uint64_t
round_down(uint64_t v, uint64_t to)
{
  return v & ~(to - 1);
}

/* Does [off, off+len) lie within [0, size)?  No sum is formed. */
static inline bool
range_fits(uint64_t off, uint64_t len, uint64_t size)
{
  return off <= size && len <= size - off;
}

#endif
