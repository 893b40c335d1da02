/* SPDX-License-Identifier: BSD-2-Clause */
/* slots.c: see slots.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/cleanup.h"
#include "image/bat.h"
#include "image/slots.h"

/* --------------------------------------------------------------------- grid */

/* False at the first slot that is off the grid, or at a place already taken. */
static bool
fill_grid(struct slots *s, const struct bat *bat, uint32_t nblk)
{
  uint32_t blk, to = 0;

  while (bat_stretch(bat, &blk, &to, nblk))
    for (; blk < to; blk++) {
      uint32_t slot = bat_slot(bat, blk);
      if (slot == NO_SLOT)
        continue;
      /* In front of the origin it is a huge number, off the grid too. */
      uint32_t from = slot - s->origin;
      uint32_t place = from / s->stride;
      if (place >= s->nplace || from != place * s->stride ||
          bitmap_add(s->grid, place))
        return false;
    }
  return true;
}

/* 1: they lie on a grid of this stride; 0: they do not; -ENOMEM. */
static int
try_grid(struct slots *s, const struct bat *bat, uint32_t nblk, uint64_t end,
         uint32_t stride)
{
  s->stride = stride;
  s->origin = bat_slot(bat, bat_next(bat, 0, nblk)) % stride;
  s->nplace = (uint32_t)DIV_ROUND_UP(MIN(end, NO_SLOT) - s->origin, stride);
  /* A file can be far longer than its blocks: sorting them takes no more. */
  if (s->nplace / 8 > (uint64_t)s->n * 4 + 4096)
    return 0;
  s->grid = calloc(s->nplace / 8 + 1, 1);
  if (!s->grid)
    return -ENOMEM;
  if (fill_grid(s, bat, nblk))
    return 1;
  free(s->grid);
  s->grid = NULL;
  return 0;
}

/* ------------------------------------------------------------------ sorting */

#define DIGIT_BITS 11
#define NDIGIT (1U << DIGIT_BITS)
#define NPASS 3

static unsigned
digit(uint32_t v, unsigned pass)
{
  return v >> pass * DIGIT_BITS & (NDIGIT - 1);
}

/* An LSD radix sort of v, for there may be millions and in no order.  It ends
 * in tmp, as the number of passes is odd.  count is zeros. */
static void
radix_sort(uint32_t *v, uint32_t *tmp, uint32_t n,
           uint32_t (*count)[NDIGIT + 1])
{
  for (uint32_t i = 0; i < n; i++)
    for (unsigned pass = 0; pass < NPASS; pass++)
      count[pass][digit(v[i], pass) + 1]++;
  for (unsigned pass = 0; pass < NPASS; pass++) {
    for (unsigned d = 0; d < NDIGIT; d++)
      count[pass][d + 1] += count[pass][d];
    for (uint32_t i = 0; i < n; i++)
      tmp[count[pass][digit(v[i], pass)]++] = v[i];
    uint32_t *swap = v;
    v = tmp;
    tmp = swap;
  }
}

static int
sort(struct slots *s, const struct bat *bat, uint32_t nblk)
{
  size_t bytes = (size_t)s->n * sizeof *s->sorted;
  CLEANUP_FREE uint32_t *found = malloc(bytes);
  CLEANUP_FREE uint32_t (*count)[NDIGIT + 1] = calloc(NPASS, sizeof *count);
  uint32_t n = 0, blk, to = 0;

  s->sorted = malloc(bytes);
  if (!found || !count || !s->sorted)
    return -ENOMEM;
  while (bat_stretch(bat, &blk, &to, nblk))
    for (; blk < to; blk++)
      if (bat_slot(bat, blk) != NO_SLOT)
        found[n++] = bat_slot(bat, blk);
  radix_sort(found, s->sorted, n, count);
  return 0;
}

/* The index of the first at or behind a sector. */
static uint32_t
search(const struct slots *s, uint64_t sec)
{
  uint32_t lo = 0, hi = s->n;

  while (lo < hi) {
    uint32_t mid = lo + (hi - lo) / 2;
    if (s->sorted[mid] < sec)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

/* ---------------------------------------------------------------------- all */

int
slots_find(struct slots *s, const struct bat *bat, uint32_t nblk, uint32_t n,
           uint32_t len, uint64_t end)
{
  memset(s, 0, sizeof *s);
  s->n = n;
  s->len = len;
  if (n == 0)
    return 0;
  /* Windows 10 and vhd-util lay the data of blocks on 4 KiB; others put one
   * block right behind another. */
  int on_grid = try_grid(s, bat, nblk, end, (uint32_t)round_up(len, 8));
  if (on_grid == 0)
    on_grid = try_grid(s, bat, nblk, end, len);
  int e = on_grid < 0 ? on_grid : 0;
  if (on_grid == 0)
    e = sort(s, bat, nblk);
  if (e < 0)
    slots_free(s);
  return e;
}

void
slots_free(struct slots *s)
{
  free(s->sorted);
  free(s->grid);
  memset(s, 0, sizeof *s);
}

uint32_t
slots_next(const struct slots *s, uint64_t sec)
{
  if (s->sorted) {
    uint32_t i = search(s, sec);
    return i < s->n ? s->sorted[i] : NO_SLOT;
  }
  if (s->n == 0)
    return NO_SLOT;
  uint64_t place =
    sec <= s->origin ? 0 : DIV_ROUND_UP(sec - s->origin, s->stride);
  if (place < s->nplace && !bitmap_test(s->grid, (uint32_t)place))
    place += bitmap_run(s->grid, (uint32_t)place, s->nplace);
  return place < s->nplace ? s->origin + (uint32_t)place * s->stride : NO_SLOT;
}

bool
slots_stretch(const struct slots *s, uint32_t *at, uint64_t *from,
              uint64_t *end)
{
  if (s->sorted) {
    if (*at == s->n)
      return false;
    *from = s->sorted[(*at)++];
    *end = *from + s->len;
    return true;
  }
  if (*at < s->nplace && !bitmap_test(s->grid, *at))
    *at += bitmap_run(s->grid, *at, s->nplace);
  if (*at >= s->nplace)
    return false;
  uint32_t run = bitmap_run(s->grid, *at, s->nplace);
  *from = s->origin + (uint64_t)*at * s->stride;
  *end = *from + (uint64_t)(run - 1) * s->stride + s->len;
  *at += run;
  return true;
}
