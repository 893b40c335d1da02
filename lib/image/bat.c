/* SPDX-License-Identifier: BSD-2-Clause */
/* bat.c: see bat.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/table.h"
#include "image/bat.h"

/* --------------------------------------------------------- coming and going */

int
bat_alloc(struct bat *b, uint32_t n)
{
  *b = (struct bat){ .n = n };
  b->entry = table_zeroed(n, sizeof *b->entry);
  b->page = calloc(n / BAT_PAGE / 8 + 1, 1);
  if (b->entry && b->page)
    return 0;
  bat_free(b);
  return -ENOMEM;
}

void
bat_free(struct bat *b)
{
  table_free(b->entry, b->n, sizeof *b->entry);
  free(b->page);
  *b = (struct bat){ 0 };
}

int
bat_copy(struct bat *b, const struct bat *from, uint32_t n)
{
  int e = bat_alloc(b, n);

  for (uint32_t blk = 0; e == 0; blk++) {
    blk = bat_next(from, blk, from->n);
    if (blk == from->n)
      break;
    bat_set(b, blk, bat_slot(from, blk));
  }
  return e;
}

/* ------------------------------------------------------------------ filling */

/* Entries of one page of which at least one has a slot. */
static void
take_page(struct bat *b, uint32_t blk, const struct be32 *raw, uint32_t n)
{
  uint32_t *entry = b->entry + blk;

  for (uint32_t i = 0; i < n; i++)
    entry[i] = ~be32_get(raw[i]);
  bitmap_set(b->page, blk / BAT_PAGE, 1);
}

/* Most pages of a new child's table come here and no further.  To compare them
 * with bytes at hand takes two thirds of the time of bytes_all(), for whom each
 * byte's neighbour lies across the lines of the cache. */
static bool
is_empty(const struct be32 *raw, uint32_t n)
{
  static const uint8_t ones[BAT_PAGE * sizeof *raw] = {
    [0 ... BAT_PAGE * sizeof *raw - 1] = 0xff
  };

  return memcmp(raw, ones, n * sizeof *raw) == 0;
}

/* Where each page has a slot, those behind them mostly have, too. */
static void
populate(struct bat *b, uint32_t blk, const struct be32 *raw, uint32_t n)
{
  size_t size = sizeof *b->entry;

  if (blk * size < b->populated)
    return;
  for (uint32_t i = 0; i < n; i += BAT_PAGE)
    if (is_empty(&raw[i], MIN(n - i, BAT_PAGE)))
      return;
  b->populated = table_populate(b->entry, b->n * size, blk * size);
}

void
bat_take(struct bat *b, uint32_t blk, const struct be32 *raw, uint32_t n)
{
  populate(b, blk, raw, n);
  for (uint32_t i = 0, m; i < n; i += m) {
    m = MIN(n - i, BAT_PAGE);
    if (!is_empty(&raw[i], m))
      take_page(b, blk + i, &raw[i], m);
  }
}

void
bat_set(struct bat *b, uint32_t blk, uint32_t slot)
{
  if (slot != NO_SLOT)
    bitmap_set(b->page, blk / BAT_PAGE, 1);
  atomic_store_explicit((_Atomic uint32_t *)&b->entry[blk], ~slot,
                        memory_order_release);
}

/* ------------------------------------------------------------ going through */

bool
bat_stretch(const struct bat *b, uint32_t *from, uint32_t *to, uint32_t end)
{
  uint32_t npage = DIV_ROUND_UP(end, BAT_PAGE);
  uint32_t page = DIV_ROUND_UP(*to, BAT_PAGE);

  if (page < npage && !bitmap_test(b->page, page))
    page += bitmap_run(b->page, page, npage);
  if (page >= npage)
    return false;
  *from = page * BAT_PAGE;
  *to = MIN((page + bitmap_run(b->page, page, npage)) * BAT_PAGE, end);
  return true;
}

uint32_t
bat_next(const struct bat *b, uint32_t blk, uint32_t end)
{
  while (blk < end) {
    uint32_t page = blk / BAT_PAGE;
    if (!bitmap_test(b->page, page)) {
      uint32_t npage = DIV_ROUND_UP(end, BAT_PAGE);
      blk = (page + bitmap_run(b->page, page, npage)) * BAT_PAGE;
      continue;
    }
    uint32_t stop = MIN((page + 1) * BAT_PAGE, end);
    while (blk < stop && bat_slot(b, blk) == NO_SLOT)
      blk++;
    if (blk < stop)
      return blk;
  }
  return end;
}

uint32_t
bat_end(const struct bat *b, uint32_t end)
{
  while (end > 0) {
    const uint32_t page = (end - 1) / BAT_PAGE;
    if (!bitmap_test(b->page, page)) {
      end = page * BAT_PAGE;
      continue;
    }
    for (; end > page * BAT_PAGE; end--)
      if (bat_slot(b, end - 1) != NO_SLOT)
        return end;
  }
  return 0;
}
