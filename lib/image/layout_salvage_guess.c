/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_salvage_guess.c: a header made up from what looks like a block table,
 * where the real one is lost.
 *
 * Nearly all creators put the table right behind the header; else it is looked
 * for a little further on.  It is a stretch of entries each of which is unused,
 * or leads to a sector of the file behind the table, and so that no two lead to
 * the same.  Blocks are as large as the smallest distance of two of them
 * allows, for one lies right behind another. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/error.h"
#include "image/layout_reader.h"
#include "image/layout_salvage.h"

#define SEARCH (64U << 10)
#define SECTOR_ENTRIES (VHD_SECTOR_SIZE / 4)
/* So many blocks are looked at, whether they begin with a full bitmap. */
#define SAMPLES 16
#define LEAST_SECTORS (1 + HEADER_MIN_BLOCK_SIZE / 512)

struct table {
  uint64_t off;
  uint32_t n;        /* entries up to the last that makes sense */
  uint32_t *slot;    /* those in use; owned */
  uint32_t nslot, room;
  uint32_t first;    /* the smallest of them */
  uint64_t stopped;  /* where it ended, in the file */
};

static int
add_slot(struct table *t, uint32_t slot)
{
  if (t->nslot == t->room) {
    const uint32_t room = t->room ? t->room * 2 : 128;
    uint32_t *more = realloc(t->slot, room * sizeof *more);
    if (!more)
      return -ENOMEM;
    t->slot = more;
    t->room = room;
  }
  t->slot[t->nslot++] = slot;
  t->first = MIN(t->first, slot);
  return 0;
}

/* The entries of one sector.  1: the table goes on; 0: it ended before. */
static int
take_sector(const struct reader *r, struct table *t, const struct be32 *raw,
            uint32_t nth, bool patient)
{
  const uint64_t end = r->l->footer_off / 512;

  for (uint32_t i = 0; i < SECTOR_ENTRIES; i++) {
    const uint32_t slot = be32_get(raw[i]);
    const uint64_t at = t->off + (nth + i) * 4ULL;
    if (at >= t->first * 512ULL || nth + i >= HEADER_MAX_BLOCKS)
      return 0;
    if (slot == 0 && patient)
      continue; /* one that was lost, or what lies behind the table */
    if (slot != NO_SLOT) {
      if (slot * 512ULL <= at || slot + (uint64_t)LEAST_SECTORS > end)
        return 0;
      int e = add_slot(t, slot);
      if (e < 0)
        return e;
    }
    t->n = nth + i + 1;
  }
  return 1;
}

static int
read_table(struct reader *r, struct table *t, uint64_t off, bool patient)
{
  struct be32 raw[SECTOR_ENTRIES];
  uint32_t nth = 0;
  int e = 1;

  *t = (struct table){ .off = off, .first = NO_SLOT, .slot = t->slot,
                       .room = t->room };
  for (; e > 0; nth += SECTOR_ENTRIES) {
    t->stopped = off + nth * 4ULL;
    if (!range_fits(t->stopped, sizeof raw, r->l->footer_off) ||
        file_read(r->file, raw, sizeof raw, t->stopped) < 0)
      break;
    e = take_sector(r, t, raw, nth, patient);
  }
  return MIN(e, 0);
}

static int
compare_slots(const void *a, const void *b)
{
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

  return x < y ? -1 : x > y;
}

/* Sectors from one block to the next, at the least; 0: that is no table. */
static uint64_t
spacing(const struct reader *r, struct table *t)
{
  uint64_t least = r->l->footer_off / 512 - t->first;

  if (t->nslot == 0)
    return 0;
  qsort(t->slot, t->nslot, sizeof *t->slot, compare_slots);
  for (uint32_t i = 1; i < t->nslot; i++)
    least = i == 1 ? t->slot[i] - t->slot[0]
                   : MIN(least, t->slot[i] - t->slot[i - 1]);
  return least >= LEAST_SECTORS ? least : 0;
}

static uint32_t
block_size_within(uint64_t sectors)
{
  uint32_t size = HEADER_MAX_BLOCK_SIZE;

  while (size > HEADER_MIN_BLOCK_SIZE &&
         header_bitmap_sectors(size) + size / 512 > sectors)
    size /= 2;
  return size;
}

/* Do the blocks begin as blocks mostly do? */
static bool
has_bitmaps(struct reader *r, const struct table *t, uint32_t spb)
{
  const uint32_t n = MIN(t->nslot, SAMPLES);
  uint8_t buf[VHD_SECTOR_SIZE];
  uint32_t full = 0;

  for (uint32_t i = 0; i < n; i++) {
    const uint64_t slot = t->slot[(uint64_t)i * t->nslot / n];
    full += file_read(r->file, buf, sizeof buf, slot * 512) == 0 &&
            salvage_is_full(buf, sizeof buf, MIN(spb, sizeof buf * 8));
  }
  return full * 2 >= n;
}

static int
accept(struct reader *r, const struct table *t, uint64_t sectors)
{
  struct layout *l = r->l;
  const uint32_t size = block_size_within(sectors);
  uint64_t n = t->n;

  if (l->footer.type != 0)
    n = MAX(n, MIN(DIV_ROUND_UP(l->disk_size, size), HEADER_MAX_BLOCKS));
  l->header = (struct header){
    .table_offset = t->off,
    .max_table_entries = (uint32_t)n,
    .block_size = size,
  };
  reader_report(r, VHD_BROKEN, VHD_HEADER_CORRUPT,
                "the dynamic header is lost; by what looks like a block table "
                "at %" PRIu64 ", blocks are taken to be of %" PRIu32 " bytes",
                t->off, size);
  return 1;
}

int
salvage_guess(struct reader *r, struct salvage *s, uint64_t off)
{
  const bool known = s->start_footer == VHD_PART_GOOD ||
                     (s->end_footer == VHD_PART_GOOD &&
                      s->layout.footer.type != VHD_FIXED);
  struct table t = { .slot = NULL };
  bool patient = true;
  int e = 0;

  if (off < FOOTER_SIZE + HEADER_SIZE || off > INT64_MAX / 4)
    off = FOOTER_SIZE + HEADER_SIZE;
  const uint64_t end = off + SEARCH;
  while (e == 0 && off < end && off < r->l->footer_off) {
    e = read_table(r, &t, off, patient);
    const uint64_t sectors = e == 0 ? spacing(r, &t) : 0;
    if (sectors > 0 &&
        (known || has_bitmaps(r, &t, block_size_within(sectors) / 512)))
      e = accept(r, &t, sectors);
    else if (!patient)
      off = t.stopped + 512;
    patient = false;
  }
  free(t.slot);
  return e < 0 ? vhd_fail_sys(r->err, -e, "%s", r->file->path) : e;
}
