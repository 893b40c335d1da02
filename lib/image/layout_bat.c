/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_bat.c: reading the block allocation table, and whether it is sound:
 * invariants 2 and 3 of layout.c. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "image/layout_reader.h"

uint32_t
layout_block_sectors(const struct layout *l, uint32_t blk)
{
  uint64_t sec = l->own_size / 512 - (uint64_t)blk * l->spb;

  return l->bitmap_sec + (uint32_t)MIN(sec, l->spb);
}

/* The block whose slot this is; only for messages. */
static uint32_t
block_of(const struct layout *l, uint32_t slot)
{
  uint32_t blk, end = 0;

  while (bat_stretch(&l->bat, &blk, &end, l->nblk))
    for (; blk < end; blk++)
      if (bat_slot(&l->bat, blk) == slot)
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

/* How many slots a whole block would fit at, from sector 0 on. */
static uint32_t
count_places(const struct layout *l)
{
  uint64_t end = l->footer_off / 512;
  uint32_t len = l->bitmap_sec + l->spb;

  return end < len ? 0 : (uint32_t)MIN(end - len + 1, NO_SLOT);
}

/* Tells of the blocks that do not lie in the file, and forgets them. */
static int
drop_beyond(struct reader *r)
{
  struct layout *l = r->l;
  uint32_t nbeyond = 0;

  for (uint32_t blk = 0; (blk = bat_next(&l->bat, blk, l->nblk)) < l->nblk;
       blk++) {
    uint32_t slot = bat_slot(&l->bat, blk);
    uint64_t len = (uint64_t)layout_block_sectors(l, blk) * 512;
    if (range_fits((uint64_t)slot * 512, len, l->footer_off))
      continue;
    int e = nbeyond++ >= TOLD_MAX ? 0
            : reader_report(r, VHD_BROKEN, VHD_BAT_CORRUPT,
                            "block %" PRIu32 " should lie at sector %" PRIu32
                            ", beyond the end of the file's data at %" PRIu64,
                            blk, slot, l->footer_off);
    if (e < 0)
      return e;
    bat_set(&l->bat, blk, NO_SLOT);
  }
  return report_more(r, nbeyond, "lie beyond the end of the file's data");
}

/* Counts the blocks, and tells whether one would not lie in the file if it were
 * whole.  Without branches, for there may be millions in no order. */
static bool
survey(struct layout *l)
{
  const struct bat *bat = &l->bat;
  uint32_t places = count_places(l), bitmap_sec = l->bitmap_sec;
  uint32_t n = 0, data = 0, beyond = 0, blk, end = 0;

  while (bat_stretch(bat, &blk, &end, l->nblk))
    for (; blk < end; blk++) {
      uint32_t next = bat_slot(bat, blk) + 1; /* NO_SLOT becomes 0 */
      uint32_t used = next != 0;
      n += used;
      data |= (next - 1 + bitmap_sec) & -used;
      beyond |= next > places;
    }
  l->nallocated = n;
  l->aligned = data % 8 == 0;
  return beyond;
}

/* Invariant 2. */
static int
check_entries(struct reader *r)
{
  int e = 0;

  if (survey(r->l)) {
    e = drop_beyond(r);
    survey(r->l);
  }
  return e;
}

/* Invariant 3, blocks against each other: those that lie on a grid do not
 * overlap. */
static int
check_overlap(struct reader *r)
{
  struct layout *l = r->l;
  const uint32_t *slot = l->slots.sorted;
  uint32_t last = slot ? bat_slot(&l->bat, l->nblk - 1) : NO_SLOT;
  uint32_t noverlap = 0;

  for (uint32_t i = 1; slot && i < l->nallocated; i++) {
    uint32_t a = slot[i - 1], b = slot[i];
    uint32_t len = a == last && a != b
                     ? layout_block_sectors(l, l->nblk - 1)
                     : l->slots.len;
    if (b - a >= len || noverlap++ >= TOLD_MAX)
      continue;
    uint32_t blk = block_of(l, a), other = blk;
    if (a != b)
      other = block_of(l, b);
    else
      for (other = blk + 1; bat_slot(&l->bat, other) != b; other++)
        ;
    int e = reader_report(r, VHD_BROKEN, VHD_BAT_CORRUPT,
                          "blocks %" PRIu32 " and %" PRIu32 " overlap at "
                          "sector %" PRIu32, blk, other, b);
    if (e < 0)
      return e;
  }
  return report_more(r, noverlap, "overlap another");
}

/* At most the disk's last block is shorter than the others. */
static uint32_t
slot_sectors(const struct layout *l, uint32_t slot)
{
  return slot == bat_slot(&l->bat, l->nblk - 1)
          ? layout_block_sectors(l, l->nblk - 1)
                                     : l->slots.len;
}

uint32_t
layout_slot_over(const struct layout *l, uint64_t off, uint64_t len)
{
  uint64_t sec = off / 512, end = DIV_ROUND_UP(off + len, 512);
  uint64_t from = sec < l->slots.len ? 0 : sec - l->slots.len + 1;
  uint32_t slot = slots_next(&l->slots, from);

  while (slot != NO_SLOT && slot < end) {
    if ((uint64_t)slot + slot_sectors(l, slot) > sec)
      return slot;
    slot = slots_next(&l->slots, (uint64_t)slot + 1);
  }
  return NO_SLOT;
}

uint64_t
layout_find_free(const struct layout *l, uint64_t sec, uint64_t nsec)
{
  for (;;) {
    uint32_t slot = layout_slot_over(l, sec * 512, nsec * 512);
    const struct region *region =
      layout_region_over(l, sec * 512, nsec * 512);
    if (slot == NO_SLOT && !region)
      return sec;
    if (slot != NO_SLOT)
      sec = (uint64_t)slot + slot_sectors(l, slot);
    if (region)
      sec = MAX(sec, DIV_ROUND_UP(region->off + region->len, 512));
  }
}

uint32_t
layout_block_over(const struct layout *l, uint64_t off, uint64_t len)
{
  uint32_t slot = layout_slot_over(l, off, len);

  return slot == NO_SLOT ? NO_SLOT : block_of(l, slot);
}

/* Invariant 3, blocks against metadata. */
static int
check_regions(struct reader *r)
{
  struct layout *l = r->l;

  for (unsigned i = 0; i < l->nregion; i++) {
    const struct region *reg = &l->region[i];
    if (strcmp(reg->what, LAYOUT_UNKNOWN) == 0)
      continue;
    uint32_t blk = layout_block_over(l, reg->off, reg->len);
    if (blk == NO_SLOT)
      continue;
    int e = reader_report(r, VHD_BROKEN, VHD_BAT_CORRUPT,
                          "block %" PRIu32 " at sector %" PRIu32 " overlaps "
                          "the %s", blk, bat_slot(&l->bat, blk), reg->what);
    if (e < 0)
      return e;
  }
  return 0;
}

static int
find_slots(struct layout *l, uint32_t nentry, uint32_t nused)
{
  slots_free(&l->slots);
  return slots_find(&l->slots, &l->bat, nentry, nused, l->bitmap_sec + l->spb,
                    l->footer_off / 512);
}

int
layout_find_slots(struct layout *l)
{
  return find_slots(l, l->nblk + l->nspare, l->nallocated + l->nspare);
}

/* So many entries at a time stay in the processor's cache until they are taken
 * over. */
#define PIECE (64U * BAT_PAGE)

static int
read_entries(struct reader *r, uint64_t table)
{
  struct layout *l = r->l;
  CLEANUP_FREE struct be32 *raw = malloc(PIECE * sizeof *raw);
  int e = raw ? 0 : -ENOMEM;

  for (uint32_t blk = 0; blk < l->nblk && e == 0; blk += PIECE) {
    uint32_t n = MIN(l->nblk - blk, PIECE);
    e = file_read(r->file, raw, n * sizeof *raw, table + (uint64_t)blk * 4);
    if (e == 0)
      bat_take(&l->bat, blk, raw, n);
  }
  return e;
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
  e = bat_alloc(&l->bat, l->nblk);
  if (e == 0)
    e = read_entries(r, off);
  if (e < 0)
    return vhd_fail_sys(r->err, -e, "%s: cannot read the block allocation "
                        "table", l->path);
  return 0;
}

int
layout_check_bat(struct reader *r)
{
  struct layout *l = r->l;

  int e = check_entries(r);
  if (e == 0 && find_slots(l, l->nblk, l->nallocated) < 0)
    return vhd_fail_sys(r->err, ENOMEM, "%s", l->path);
  if (e == 0)
    e = check_overlap(r);
  return e < 0 ? e : check_regions(r);
}
