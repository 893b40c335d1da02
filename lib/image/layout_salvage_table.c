/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_salvage_table.c: what the entries of a damaged block table are worth.
 *
 * An entry is believed where it leads into the file, not into the footer's
 * copy, the header or the table, and where no other leads to part of the same
 * place.  Of two that do, one at least is wrong, and nobody can say which: both
 * are doubtful.  Where more than a few do, the place is given to none of them,
 * so that a small file cannot be made into a disk full of copies of itself. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "image/layout_reader.h"
#include "image/layout_salvage.h"

#define PIECE (64U * BAT_PAGE)
#define SECTOR_ENTRIES (VHD_SECTOR_SIZE / 4)
/* Blocks that claim one place, at most. */
#define CLAIMS_MAX 4

/* ------------------------------------------------------------------ entries */

static enum fate
judge_entry(const struct layout *l, uint32_t blk, uint32_t slot)
{
  const uint64_t off = slot * 512ULL;
  const uint64_t len = layout_block_sectors(l, blk) * 512ULL;
  const uint64_t bitmap = l->bitmap_sec * 512ULL;

  if (slot == NO_SLOT)
    return FATE_UNUSED;
  if (layout_region_over(l, off, len))
    return FATE_LOST;
  if (!range_fits(off, bitmap, l->footer_off))
    return l->end_footer ? FATE_LOST : FATE_CUT;
  if (!range_fits(off, len, l->footer_off) && l->end_footer)
    return FATE_SHARED;
  return FATE_PLACED;
}

static void
take_entries(struct salvage *s, uint32_t blk, const struct be32 *raw,
             uint32_t n)
{
  struct layout *l = &s->layout;

  for (uint32_t i = 0; i < n; i++) {
    const uint32_t slot = be32_get(raw[i]);
    const enum fate fate = judge_entry(l, blk + i, slot);
    s->fate[blk + i] = (uint8_t)fate;
    if (fate == FATE_PLACED || fate == FATE_SHARED)
      bat_set(&l->bat, blk + i, slot);
  }
}

/* Entries that cannot be read, or lie beyond the end of the file. */
static void
lose_entries(struct salvage *s, uint32_t blk, uint32_t n)
{
  memset(s->fate + blk, FATE_LOST, n);
}

/* The table sector by sector, where it cannot be had in one. */
static void
read_sectors(struct reader *r, struct salvage *s, uint32_t blk, uint32_t n)
{
  struct be32 raw[SECTOR_ENTRIES];

  for (uint32_t i = 0; i < n; i += SECTOR_ENTRIES) {
    const uint32_t some = MIN(n - i, SECTOR_ENTRIES);
    const uint64_t off = r->l->header.table_offset + (blk + i) * 4ULL;
    if (range_fits(off, some * sizeof *raw, r->l->footer_off) &&
        file_read(r->file, raw, some * sizeof *raw, off) == 0)
      take_entries(s, blk + i, raw, some);
    else
      lose_entries(s, blk + i, some);
  }
}

static int
read_table(struct reader *r, struct salvage *s)
{
  struct layout *l = r->l;
  CLEANUP_FREE struct be32 *raw = malloc(PIECE * sizeof *raw);

  if (!raw)
    return -ENOMEM;
  for (uint32_t blk = 0; blk < l->nblk; blk += PIECE) {
    const uint32_t n = MIN(l->nblk - blk, PIECE);
    const uint64_t off = l->header.table_offset + blk * 4ULL;
    if (range_fits(off, n * sizeof *raw, l->footer_off) &&
        file_read(r->file, raw, n * sizeof *raw, off) == 0)
      take_entries(s, blk, raw, n);
    else
      read_sectors(r, s, blk, n);
  }
  return 0;
}

/* Entries behind those of the disk's blocks, to the end of the table's last
 * sector, that lead to where a block can be.  There should be none: perhaps the
 * whole table was shifted. */
static uint32_t
count_beyond(struct reader *r)
{
  const struct layout *l = r->l;
  const uint64_t entries = MAX(l->header.max_table_entries, l->nblk);
  const uint64_t end = MIN(round_up(entries, SECTOR_ENTRIES),
                           HEADER_MAX_BLOCKS);
  struct be32 raw[SECTOR_ENTRIES];
  uint32_t found = 0;

  for (uint64_t blk = l->nblk, n; blk < end; blk += n) {
    const uint64_t off = l->header.table_offset + blk * 4;
    n = MIN(end - blk, SECTOR_ENTRIES);
    if (!range_fits(off, n * sizeof *raw, l->footer_off))
      break;
    if (file_read(r->file, raw, n * sizeof *raw, off) < 0)
      continue;
    for (uint64_t i = 0; i < n; i++)
      found += judge_entry(l, 0, be32_get(raw[i])) == FATE_PLACED;
  }
  return found;
}

static void
look_beyond(struct reader *r, struct salvage *s)
{
  const uint32_t n = count_beyond(r);

  if (n == 0)
    return;
  s->sure = false;
  reader_report(r, VHD_BROKEN, VHD_BAT_CORRUPT, "%" PRIu32 " entries behind "
                "those of the disk's blocks lead to blocks, too: the table may "
                "have been shifted, so that none of them is certain", n);
}

/* Where the table lies, as far as that can be: a header may tell of a huge
 * one. */
static void
add_table_region(struct layout *l)
{
  const struct header *h = &l->header;
  const uint64_t needed = round_up(l->nblk * 4ULL, 512);
  uint64_t len = round_up(h->max_table_entries * 4ULL, 512);

  if (len > HEADER_MAX_BLOCKS * 4ULL)
    len = needed;
  if (h->table_offset < l->footer_off)
    l->region[l->nregion++] = (struct region){
      h->table_offset, MIN(len, l->footer_off - h->table_offset),
      "block allocation table",
    };
}

/* ------------------------------------------------------------------ overlap */

static int
compare_places(const void *a, const void *b, void *bat)
{
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  const uint32_t sx = bat_slot(bat, x), sy = bat_slot(bat, y);

  return sx < sy ? -1 : sx > sy ? 1 : x < y ? -1 : x > y;
}

/* order: the n blocks in the order of their places. */
static void
mark_overlaps(struct salvage *s, const uint32_t *order, uint32_t n)
{
  const struct layout *l = &s->layout;
  uint64_t end = 0;
  uint32_t holder = 0; /* the block that ends there */

  for (uint32_t i = 0; i < n; i++) {
    const uint32_t slot = bat_slot(&l->bat, order[i]);
    const uint64_t own = slot + (uint64_t)layout_block_sectors(l, order[i]);
    if (slot < end)
      s->fate[order[i]] = s->fate[holder] = FATE_SHARED;
    if (own > end) {
      end = own;
      holder = order[i];
    }
  }
}

/* Places that too many claim; after all was marked that overlaps. */
static void
drop_crowds(struct salvage *s, const uint32_t *order, uint32_t n)
{
  const struct layout *l = &s->layout;
  const uint32_t len = l->bitmap_sec + l->spb;

  for (uint32_t i = CLAIMS_MAX; i < n; i++) {
    const uint32_t from = bat_slot(&l->bat, order[i - CLAIMS_MAX]);
    if (bat_slot(&l->bat, order[i]) - from < len)
      for (uint32_t k = 0; k <= CLAIMS_MAX; k++)
        s->fate[order[i - k]] = FATE_LOST;
  }
}

static int
find_overlaps(struct salvage *s)
{
  struct layout *l = &s->layout;
  uint32_t n = 0;

  for (uint32_t blk = 0; (blk = bat_next(&l->bat, blk, l->nblk)) < l->nblk;
       blk++)
    n++;
  CLEANUP_FREE uint32_t *order = malloc((n + 1) * sizeof *order);
  if (!order)
    return -ENOMEM;
  n = 0;
  for (uint32_t blk = 0; (blk = bat_next(&l->bat, blk, l->nblk)) < l->nblk;
       blk++)
    order[n++] = blk;
  qsort_r(order, n, sizeof *order, compare_places, &l->bat);
  mark_overlaps(s, order, n);
  drop_crowds(s, order, n);
  for (uint32_t i = 0; i < n; i++)
    if (s->fate[order[i]] == FATE_LOST)
      bat_set(&l->bat, order[i], NO_SLOT);
  return 0;
}

/* --------------------------------------------------------------------- all */

static void
count(struct salvage *s)
{
  struct layout *l = &s->layout;

  memset(s->count, 0, sizeof s->count);
  for (uint32_t blk = 0; blk < l->nblk; blk++)
    s->count[s->fate[blk]]++;
  l->nallocated = s->count[FATE_PLACED] + s->count[FATE_SHARED];
}

static void
tell(struct reader *r, struct salvage *s)
{
  static const struct {
    enum fate fate;
    const char *what;
  } faults[] = {
    { FATE_LOST, "are lost: their entries cannot be read, or lead where no "
                 "block can be" },
    { FATE_CUT, "lie beyond the end of the file, which was cut" },
    { FATE_SHARED, "lie over one another, or over the footer: of some the "
                   "entry is wrong" },
  };

  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    if (s->count[faults[i].fate] > 0)
      reader_report(r, VHD_BROKEN, VHD_BAT_CORRUPT, "%" PRIu32 " of %" PRIu32
                    " blocks %s", s->count[faults[i].fate], r->l->nblk,
                    faults[i].what);
}

int
salvage_table(struct reader *r, struct salvage *s)
{
  struct layout *l = r->l;

  add_table_region(l);
  s->fate = calloc(l->nblk, 1);
  int e = s->fate ? bat_alloc(&l->bat, l->nblk) : -ENOMEM;
  if (e == 0)
    e = read_table(r, s);
  if (e == 0)
    e = find_overlaps(s);
  if (e == 0) {
    look_beyond(r, s);
    count(s);
    e = layout_find_slots(l);
  }
  if (e < 0)
    return vhd_fail_sys(r->err, -e, "%s", l->path);
  const uint32_t bad = s->count[FATE_LOST] + s->count[FATE_SHARED];
  s->table = s->header == VHD_PART_GUESSED ? VHD_PART_GUESSED
             : bad == 0 ? VHD_PART_GOOD
             : s->count[FATE_LOST] == l->nblk ? VHD_PART_MISSING
             : VHD_PART_BAD;
  tell(r, s);
  layout_read_locators(r);
  struct vhd_error *err = r->err;
  r->err = NULL; /* the batmap is not needed, and may be unreadable */
  layout_read_batmap(r);
  r->err = err;
  return 0;
}
