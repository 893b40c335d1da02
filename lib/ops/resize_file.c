/* SPDX-License-Identifier: BSD-2-Clause */
/* resize_file.c: see resize.h.
 *
 * What leads nowhere yet is written first: the new part of the table, and
 * parent locators where they are to lie.  Then one change of store/redo.h,
 * which syncs that before, has the rest: header, footers, what the longer table
 * takes from metadata, Xen's batmap, and the length of the file. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/rules.h"
#include "format/geometry.h"
#include "ops/edit.h"
#include "ops/resize.h"

#define FILE_ALIGN 4096
#define CHUNK (64U << 10)

struct file_change {
  const struct resize_file *to;
  struct edit edit;
  struct redo *redo;
  struct table_plan plan;
  struct header header;   /* as it is to be */
  struct footer footer;
  uint64_t footer_off;
  struct vhd_error *err;
};

void
resize_plan_table(const struct layout *l, uint64_t size,
                  struct table_plan *plan)
{
  const uint32_t now = l->header.max_table_entries;
  const uint64_t table = l->header.table_offset;
  const uint32_t nblk = (uint32_t)DIV_ROUND_UP(size, l->header.block_size);

  *plan = (struct table_plan){ .entries = MAX(nblk, now) };
  plan->from = table + now * 4ULL;
  plan->end = plan->way_end = plan->from;
  if (nblk <= now)
    return;
  plan->end = plan->way_end = round_up(table + nblk * 4ULL, 512);
  if (l->has_batmap) {
    plan->map_nsec = DIV_ROUND_UP(nblk, 512U * 8);
    plan->way_end += BATMAP_HEADER_SIZE + plan->map_nsec * 512ULL;
  }
}

static int
fail(struct file_change *c, int e)
{
  return e < 0 ? vhd_fail_sys(c->err, -e, "%s", c->to->path) : 0;
}

/* --------------------------------------------------------------- its end */

/* The footer as it is comes to lie there too: the new end of the file.  What is
 * between is nobody's. */
static int
put_footer(struct file_change *c, uint64_t off)
{
  uint8_t buf[FOOTER_SIZE];

  footer_format(&c->edit.layout.footer, buf);
  int e = file_write(c->edit.file, buf, sizeof buf, off);
  return e < 0 ? e : file_do(c->edit.file, VHD_IO_SYNC, 0, 0, 0);
}

/* -------------------------------------------------------------------- fixed */

/* The same of a file that has no other footer: on some hosts a power cut leaves
 * the new end without what was written there. */
static int
put_only_footer(struct file_change *c, uint64_t off)
{
  uint8_t buf[FOOTER_SIZE];
  struct redo *redo;

  int e = redo_begin(c->edit.file, &redo, c->err);
  if (e < 0)
    return e;
  footer_format(&c->edit.layout.footer, buf);
  edit_keep_time(&c->edit, redo);
  e = fail(c, redo_add(redo, buf, sizeof buf, off));
  if (e == 0)
    e = redo_commit(redo, c->err);
  redo_free(redo);
  return e;
}

/* What lay between the disk and the footer, and what the footer leaves, becomes
 * part of the disk. */
static int
clean_fixed(struct file_change *c, uint64_t end)
{
  const uint64_t from = c->edit.layout.disk_size;

  if (end <= from)
    return 0;
  return file_do(c->edit.file, c->to->full ? VHD_IO_ZERO : VHD_IO_PUNCH, from,
                 end - from, 0);
}

static int
change_fixed(struct file_change *c)
{
  const struct layout *l = &c->edit.layout;
  const uint64_t size = c->to->size;
  const bool longer = size >= l->file_size;
  static const uint8_t zeros[FOOTER_SIZE];
  int e = 0;

  if (c->to->full && longer)
    e = file_do(c->edit.file, VHD_IO_EXTEND, l->footer_off,
                size + FOOTER_SIZE - l->footer_off, VHD_IO_RESERVE);
  e = fail(c, e);
  if (e == 0 && longer)
    e = RULE(ONLY_FOOTER) ? put_only_footer(c, size)
                          : fail(c, put_footer(c, size));
  if (e == 0)
    e = fail(c, clean_fixed(c, longer ? l->file_size
                                      : MIN(size, l->footer_off)));
  if (e < 0)
    return e;
  e = redo_begin(c->edit.file, &c->redo, c->err);
  if (e < 0)
    return e;
  /* A part of an old footer that lies on no sector. */
  if (!longer && size > l->footer_off)
    e = redo_add(c->redo, zeros, (size_t)(size - l->footer_off),
                 l->footer_off);
  redo_set_length(c->redo, size + FOOTER_SIZE);
  c->footer_off = size;
  return fail(c, e);
}

/* -------------------------------------------------------- where things lie */

/* The end of the file moves on, if it must. */
static int
lengthen(struct file_change *c, uint64_t end)
{
  c->footer_off = c->edit.layout.footer_off;
  if (end <= c->footer_off)
    return 0;
  c->footer_off = round_up(end + FOOTER_SIZE, FILE_ALIGN) - FOOTER_SIZE;
  if (c->footer_off / 512 >= NO_SLOT)
    return vhd_fail(c->err, VHD_ARGUMENT, EFBIG,
                    "%s: the file would become longer than the format allows",
                    c->to->path);
  return fail(c, put_footer(c, c->footer_off));
}

static bool
in_way(const struct file_change *c, const struct region *region)
{
  return region->off < c->plan.way_end &&
         region->off + region->len > c->plan.from;
}

/* Calls back for each locator that is in the way. */
static int
each_locator(struct file_change *c,
             int (*each)(struct file_change *c, unsigned i,
                         const struct region *region, uint64_t *at),
             uint64_t *at)
{
  const struct layout *l = &c->edit.layout;
  int e = 0;

  for (unsigned i = 0; e == 0 && i < LOCATOR_COUNT; i++) {
    const struct region *region = layout_locator_region(l, i);
    if (region != NULL && in_way(c, region))
      e = each(c, i, region, at);
  }
  return e;
}

static int
add_length(struct file_change *c, unsigned i, const struct region *region,
           uint64_t *at)
{
  (void)c;
  (void)i;
  *at += round_up(region->len, 512);
  return 0;
}

static int
move_locator(struct file_change *c, unsigned i, const struct region *region,
             uint64_t *at)
{
  CLEANUP_FREE uint8_t *text = calloc(1, (size_t)region->len);
  int e = -ENOMEM;

  if (text != NULL)
    e = file_read(c->edit.file, text, c->edit.layout.locator[i].len,
                  region->off);
  if (e == 0)
    e = file_write(c->edit.file, text, (size_t)region->len, *at);
  c->header.locator[i].off = *at;
  if (c->header.locator[i].space > region->len)
    c->header.locator[i].space = (uint32_t)region->len;
  *at += round_up(region->len, 512);
  return e;
}

/* Locators that are in the way find other places, perhaps at the end. */
static int
move_locators(struct file_change *c)
{
  const struct layout *l = &c->edit.layout;
  const uint64_t first = DIV_ROUND_UP(c->plan.way_end, 512);
  uint64_t len = 0, at;

  each_locator(c, add_length, &len);
  at = layout_find_free(l, first, MAX(len, 512) / 512) * 512;
  if (at + len > l->footer_off)
    at = MAX(first * 512, round_up(l->footer_off, 512));
  int e = lengthen(c, MAX(c->plan.way_end, len > 0 ? at + len : 0));
  return e < 0 ? e : fail(c, each_locator(c, move_locator, &at));
}

/* -------------------------------------------------------------------- table */

/* Entries without a block, at once or with the change. */
static int
put_unused(struct file_change *c, uint64_t from, uint64_t end, bool now)
{
  CLEANUP_FREE uint8_t *ones = malloc(CHUNK);
  int e = ones != NULL ? 0 : -ENOMEM;

  if (e == 0)
    memset(ones, 0xff, CHUNK);
  for (uint64_t n; e == 0 && from < end; from += n) {
    n = MIN(end - from, CHUNK);
    e = now ? file_write(c->edit.file, ones, n, from)
            : redo_add(c->redo, ones, n, from);
  }
  return e;
}

/* The end of the stretch from `off` on in which nothing lies yet, or everywhere
 * something does. */
static uint64_t
stretch_end(const struct file_change *c, uint64_t off, bool *taken)
{
  uint64_t end = off;

  *taken = layout_region_over(&c->edit.layout, off, 1) != NULL;
  do
    end = MIN(round_down(end, 512) + 512, c->plan.end);
  while (end < c->plan.end &&
         (layout_region_over(&c->edit.layout, end, 1) != NULL) == *taken);
  return end;
}

/* What is new: at once where nothing lies, or else where something does. */
static int
extend_table(struct file_change *c, bool now)
{
  bool taken;
  int e = 0;

  for (uint64_t off = c->plan.from, end; e == 0 && off < c->plan.end;
       off = end) {
    end = stretch_end(c, off, &taken);
    if (taken != now)
      e = put_unused(c, off, end, now);
  }
  return fail(c, e);
}

/* What other programs left in entries behind the disk's last one. */
static int
clear_entries(struct file_change *c)
{
  const struct layout *l = &c->edit.layout;
  const uint64_t table = l->header.table_offset;
  const uint32_t nblk =
    (uint32_t)DIV_ROUND_UP(c->to->size, l->header.block_size);

  if (nblk <= l->nblk)
    return 0;
  return fail(c, put_unused(c, table + l->nblk * 4ULL,
                            MIN(table + nblk * 4ULL, c->plan.from), false));
}

/* Blocks that the disk is too short for, from here on, or l->nblk. */
static uint32_t
first_behind(const struct file_change *c)
{
  const struct layout *l = &c->edit.layout;
  const uint32_t nblk =
    (uint32_t)DIV_ROUND_UP(c->to->size, l->header.block_size);

  return bat_next(&l->bat, MIN(nblk, l->nblk), l->nblk);
}

/* They go with the size. */
static int
drop_behind(struct file_change *c)
{
  const struct layout *l = &c->edit.layout;
  const uint64_t table = l->header.table_offset;

  return fail(c, put_unused(c, table + first_behind(c) * 4ULL,
                            table + l->nblk * 4ULL, false));
}

/* ... and their space, once nothing leads there. */
static void
give_back(struct file_change *c)
{
  const struct layout *l = &c->edit.layout;

  for (uint32_t blk = first_behind(c); blk < l->nblk;
       blk = bat_next(&l->bat, blk + 1, l->nblk))
    file_do(c->edit.file, VHD_IO_PUNCH, bat_slot(&l->bat, blk) * 512ULL,
            layout_block_sectors(l, blk) * 512ULL, VHD_IO_GIVE_BACK);
  if (c->to->keep_time)
    edit_restore_time(&c->edit);
}

/* The batmap as it was, but that blocks from one on are not full. */
static int
add_batmap(struct file_change *c, const struct batmap *as, uint64_t head_off,
           uint32_t nblk)
{
  const struct layout *l = &c->edit.layout;
  const size_t len = (size_t)as->nsec * 512;
  const size_t old = MIN((size_t)l->batmap.nsec * 512, len);
  uint8_t head[BATMAP_HEADER_SIZE];

  CLEANUP_FREE uint8_t *map = calloc(1, len);
  if (map == NULL)
    return fail(c, -ENOMEM);
  memcpy(map, l->batmap_bits, old);
  if (nblk < old * 8)
    bitmap_clear(map, nblk, (uint32_t)(old * 8 - nblk));
  batmap_format(as, map, len, head);
  int e = redo_add(c->redo, head, sizeof head, head_off);
  return fail(c, e < 0 ? e : redo_add(c->redo, map, len, as->off));
}

/* The batmap's place is right behind the table. */
static int
change_batmap(struct file_change *c)
{
  const struct layout *l = &c->edit.layout;
  struct batmap batmap = l->batmap;

  if (c->plan.map_nsec > 0) {
    batmap.off = c->plan.end + BATMAP_HEADER_SIZE;
    batmap.nsec = c->plan.map_nsec;
    return add_batmap(c, &batmap, c->plan.end, l->nblk);
  }
  if (!l->has_batmap || first_behind(c) == l->nblk)
    return 0;
  return add_batmap(c, &batmap, batmap_header_off(&l->header),
                    first_behind(c));
}

static int
change_sparse(struct file_change *c)
{
  const struct layout *l = &c->edit.layout;

  resize_plan_table(l, c->to->size, &c->plan);
  c->header = l->header;
  c->header.max_table_entries = c->plan.entries;
  if (l->beyond || layout_slot_over(l, c->plan.from,
                                    c->plan.way_end - c->plan.from) != NO_SLOT)
    return vhd_fail(c->err, VHD_BUSY, EBUSY,
                    "%s: another program has written to it meanwhile",
                    c->to->path);
  c->footer_off = l->footer_off;
  int e = 0;
  if (c->plan.way_end > c->plan.from)
    e = move_locators(c);
  if (e == 0)
    e = extend_table(c, true);
  if (e == 0)
    e = redo_begin(c->edit.file, &c->redo, c->err);
  if (e == 0)
    e = clear_entries(c);
  if (e == 0)
    e = drop_behind(c);
  if (e == 0)
    e = extend_table(c, false);
  if (e == 0)
    e = change_batmap(c);
  if (e == 0)
    e = fail(c, edit_add_header(&c->edit, c->redo, &c->header));
  return e;
}

/* --------------------------------------------------------------------- all */

static int
add_footers(struct file_change *c)
{
  const struct geometry geometry = geometry_for_size(c->to->size);

  c->footer = c->edit.layout.footer;
  c->footer.current_size = c->to->size;
  c->footer.cylinders = geometry.cylinders;
  c->footer.heads = geometry.heads;
  c->footer.sectors = geometry.sectors;
  return fail(c, edit_add_footers(&c->edit, c->redo, &c->footer,
                                  c->footer_off));
}

static int
change(struct file_change *c)
{
  int e = c->edit.layout.footer.type == VHD_FIXED ? change_fixed(c)
                                             : change_sparse(c);
  if (e == 0)
    e = add_footers(c);
  if (e == 0 && c->to->keep_time)
    edit_keep_time(&c->edit, c->redo);
  if (e == 0)
    e = redo_commit(c->redo, c->err);
  redo_free(c->redo);
  if (e == 0 && c->edit.layout.footer.type == VHD_DIFFERENCING)
    give_back(c);
  return e;
}

int
resize_change_file(struct edit *edit, const struct resize_file *to,
                   struct vhd_error *err)
{
  struct file_change c = { .to = to, .edit = *edit, .err = err };

  int e = change(&c);
  if (e < 0)
    edit_restore_time(&c.edit);
  edit_close(&c.edit);
  return e;
}
