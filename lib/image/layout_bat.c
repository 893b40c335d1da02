/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_bat.c: reading the block allocation table, and whether it is sound:
 * invariants 2 and 3 of layout.c. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "image/layout_reader.h"

/* An LSD radix sort: the slots of a big image are many and mostly random. */
static void
sort_slots(uint32_t *v, uint32_t *tmp, uint32_t n)
{
  for (unsigned shift = 0; shift < 32; shift += 8) {
    uint32_t count[257] = { 0 };
    for (uint32_t i = 0; i < n; i++)
      count[(v[i] >> shift & 255) + 1]++;
    for (unsigned b = 0; b < 256; b++)
      count[b + 1] += count[b];
    for (uint32_t i = 0; i < n; i++)
      tmp[count[v[i] >> shift & 255]++] = v[i];
    uint32_t *swap = v;
    v = tmp;
    tmp = swap;
  }
}

uint32_t
layout_block_sectors(const struct layout *l, uint32_t blk)
{
  uint64_t sec = l->disk_size / 512 - (uint64_t)blk * l->spb;

  return l->bitmap_sec + (uint32_t)MIN(sec, l->spb);
}

/* The block whose slot this is; only for messages. */
static uint32_t
block_of(const struct layout *l, uint32_t slot)
{
  for (uint32_t blk = 0; blk < l->nblk; blk++)
    if (l->bat[blk] == slot)
      return blk;
  return NO_SLOT;
}

/* A table can be wrong millions of times; this many are told one by one. */
#define TOLD_MAX 100

static int
report_more(struct reader *r, uint32_t n, const char *what)
{
  if (n <= TOLD_MAX)
    return 0;
  return reader_report(r, VHD_BROKEN, VHD_BAT_CORRUPT,
                       "%" PRIu32 " more blocks %s", n - TOLD_MAX, what);
}

/* Invariant 2, entry by entry. */
static int
check_entries(struct reader *r)
{
  struct layout *l = r->l;
  uint32_t data_align = 0, nbeyond = 0;

  l->nallocated = 0;
  for (uint32_t blk = 0; blk < l->nblk; blk++) {
    uint32_t slot = l->bat[blk];
    if (slot == NO_SLOT)
      continue;
    uint64_t len = (uint64_t)layout_block_sectors(l, blk) * 512;
    if (!range_fits((uint64_t)slot * 512, len, l->footer_off)) {
      int e = nbeyond++ >= TOLD_MAX ? 0
              : reader_report(r, VHD_BROKEN, VHD_BAT_CORRUPT,
                              "block %" PRIu32 " should lie at sector %" PRIu32
                              ", beyond the end of the file's data at %" PRIu64,
                              blk, slot, l->footer_off);
      if (e < 0)
        return e;
      l->bat[blk] = NO_SLOT;
      continue;
    }
    data_align |= (slot + l->bitmap_sec) % 8;
    l->nallocated++;
  }
  l->aligned = data_align == 0;
  return report_more(r, nbeyond, "lie beyond the end of the file's data");
}

/* Invariant 3, blocks against each other. */
static int
check_overlap(struct reader *r)
{
  struct layout *l = r->l;
  uint32_t last = l->bat[l->nblk - 1];
  uint32_t noverlap = 0;

  for (uint32_t i = 1; i < l->nallocated; i++) {
    uint32_t a = l->slot[i - 1], b = l->slot[i];
    uint32_t len = a == last && a != b
                     ? layout_block_sectors(l, l->nblk - 1)
                     : l->bitmap_sec + l->spb;
    if (b - a >= len || noverlap++ >= TOLD_MAX)
      continue;
    uint32_t blk = block_of(l, a), other = blk;
    if (a != b)
      other = block_of(l, b);
    else
      for (other = blk + 1; l->bat[other] != b; other++)
        ;
    int e = reader_report(r, VHD_BROKEN, VHD_BAT_CORRUPT,
                          "blocks %" PRIu32 " and %" PRIu32 " overlap at "
                          "sector %" PRIu32, blk, other, b);
    if (e < 0)
      return e;
  }
  return report_more(r, noverlap, "overlap another");
}

uint32_t
layout_block_over(const struct layout *l, uint64_t off, uint64_t len)
{
  uint32_t lo = 0, hi = l->nallocated;

  while (lo < hi) { /* the first slot that begins behind it */
    uint32_t mid = lo + (hi - lo) / 2;
    if ((uint64_t)l->slot[mid] * 512 < off + len)
      lo = mid + 1;
    else
      hi = mid;
  }
  if (lo == 0)
    return NO_SLOT;
  uint32_t blk = block_of(l, l->slot[lo - 1]);
  uint64_t end = (uint64_t)l->slot[lo - 1] + layout_block_sectors(l, blk);
  return end * 512 <= off ? NO_SLOT : blk;
}

/* Invariant 3, blocks against metadata. */
static int
check_regions(struct reader *r)
{
  struct layout *l = r->l;

  for (unsigned i = 0; i < l->nregion; i++) {
    const struct region *reg = &l->region[i];
    uint32_t blk = layout_block_over(l, reg->off, reg->len);
    if (blk == NO_SLOT)
      continue;
    int e = reader_report(r, VHD_BROKEN, VHD_BAT_CORRUPT,
                          "block %" PRIu32 " at sector %" PRIu32 " overlaps "
                          "the %s", blk, l->bat[blk], reg->what);
    if (e < 0)
      return e;
  }
  return 0;
}

int
layout_read_bat(struct reader *r)
{
  struct layout *l = r->l;
  uint64_t off = l->header.table_offset;
  uint64_t len = round_up((uint64_t)l->header.max_table_entries * 4, 512);

  /* The padding of the last sector may be cut off; its entries may not. */
  if (!range_fits(off, len, l->footer_off))
    len = (uint64_t)l->header.max_table_entries * 4;
  int e = reader_add_region(r, "block allocation table", VHD_BAT_CORRUPT, off,
                            len);
  if (e != 0)
    return e < 0 ? e : vhd_fail(r->err, VHD_BAT_CORRUPT, EINVAL,
                                "%s: the block allocation table cannot be read",
                                l->path);
  l->bat = malloc((size_t)l->nblk * 4);
  if (!l->bat)
    return vhd_fail_sys(r->err, ENOMEM, "%s", l->path);
  struct be32 part[4096];
  for (uint32_t blk = 0; blk < l->nblk; blk += 4096) {
    uint32_t n = MIN(4096, l->nblk - blk);
    e = file_read(r->file, part, n * sizeof *part, off + (uint64_t)blk * 4);
    if (e < 0)
      return vhd_fail_sys(r->err, -e, "%s: cannot read the block allocation "
                          "table", l->path);
    for (uint32_t i = 0; i < n; i++)
      l->bat[blk + i] = be32_get(part[i]);
  }
  return 0;
}

int
layout_check_bat(struct reader *r)
{
  struct layout *l = r->l;
  CLEANUP_FREE uint32_t *tmp = NULL;

  int e = check_entries(r);
  if (e < 0)
    return e;
  size_t bytes = ((size_t)l->nallocated + 1) * 4;
  l->slot = malloc(bytes);
  tmp = malloc(bytes);
  if (!l->slot || !tmp)
    return vhd_fail_sys(r->err, ENOMEM, "%s", l->path);
  uint32_t n = 0;
  bool ascending = true;
  for (uint32_t blk = 0; blk < l->nblk; blk++) {
    if (l->bat[blk] == NO_SLOT)
      continue;
    ascending &= n == 0 || l->slot[n - 1] < l->bat[blk];
    l->slot[n++] = l->bat[blk];
  }
  if (!ascending)
    sort_slots(l->slot, tmp, n);
  e = check_overlap(r);
  return e < 0 ? e : check_regions(r);
}
