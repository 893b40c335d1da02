/* SPDX-License-Identifier: BSD-2-Clause */
/* layout.c: reading and validating an image file.
 *
 * What must hold of a dynamic or differencing file, and is relied upon
 * everywhere above:
 *   1. the metadata regions lie in the file and do not overlap;
 *   2. every block of the BAT lies in the file, before the footer;
 *   3. no block overlaps another, nor a region.
 * What no tool depends on (padding, order, unaligned blocks) is free.  What
 * entries past the end of the disk lead to is nobody's to use.  layout_footer.c
 * chooses the footer, layout_bat.c sees to invariants 2 and 3, and
 * layout_spare.c to what lies past the end of the disk. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/error.h"
#include "base/table.h"
#include "image/layout_reader.h"
#include "image/layout_vhdx.h"

/* ------------------------------------------------------------------ header */

static int
read_header(struct reader *r)
{
  struct layout *l = r->l;
  uint8_t buf[HEADER_SIZE];
  uint64_t off = l->footer.data_offset;

  l->nregion = 0;
  l->region[l->nregion++] = (struct region){ 0, FOOTER_SIZE,
                                             "copy of the footer" };
  if (off % 512 != 0 || !range_fits(off, HEADER_SIZE, l->footer_off) ||
      off < FOOTER_SIZE)
    return vhd_fail(r->err, VHD_HEADER_CORRUPT, EINVAL,
                    "%s: the dynamic header should lie at %" PRIu64
                    ", which is no place for it", l->path, off);
  int e = file_read(r->file, buf, sizeof buf, off);
  if (e < 0)
    return vhd_fail_sys(r->err, -e, "%s: cannot read the dynamic header",
                        l->path);
  e = header_parse(buf, l->path, l->disk_size, &l->header, r->err);
  if (e < 0)
    return e;
  e = reader_add_region(r, "dynamic header", VHD_HEADER_CORRUPT, off,
                        HEADER_SIZE);
  if (e != 0)
    return e < 0 ? e : vhd_fail(r->err, VHD_HEADER_CORRUPT, EINVAL,
                                "%s: the dynamic header overlaps the footer",
                                l->path);
  l->spb = l->header.block_size / 512;
  l->bitmap_sec = header_bitmap_sectors(l->header.block_size);
  l->nblk = DIV_ROUND_UP(l->disk_size, l->header.block_size);
  return 0;
}

/* -------------------------------------------------------- locators, batmap */

/* Does nothing else lie there? */
static bool
is_free(const struct layout *l, uint64_t off, uint64_t len)
{
  return len == 0 || (!layout_region_over(l, off, len) &&
                      layout_block_over(l, off, len) == NO_SLOT);
}

/* Locators are of use only to find a parent, which can be found without them:
 * a bad one is told of, and left alone.  One that lies where something else
 * does is bad as well: qemu puts blocks over them; and one that lay beyond the
 * end of the file must not make the image unreadable once the file has grown
 * there.  Only the text counts: the space set aside for it is kept where
 * nothing else lies.  But more than any path needs is nonsense, as its text may
 * be. */
#define SPACE_MAX (1U << 20)

int
layout_read_locators(struct reader *r)
{
  struct layout *l = r->l;
  static const char *const names[LOCATOR_COUNT] = {
    "parent locator 0", "parent locator 1", "parent locator 2",
    "parent locator 3", "parent locator 4", "parent locator 5",
    "parent locator 6", "parent locator 7",
  };

  if (l->footer.type != VHD_DIFFERENCING)
    return 0;
  for (unsigned i = 0; i < LOCATOR_COUNT; i++) {
    struct locator *loc = &l->header.locator[i];
    uint64_t text = round_up(loc->len, 512), space = MAX(loc->space, text);
    const char *fault = NULL;

    if (loc->code == LOCATOR_NONE)
      continue;
    if (locator_check(loc, &fault) == 0 &&
        !range_fits(loc->off, space > SPACE_MAX ? space : loc->len,
                    l->footer_off))
      fault = "does not lie in the file";
    if (!fault && !is_free(l, loc->off, text))
      fault = "lies where something else does";
    if (!fault && (!range_fits(loc->off, space, l->footer_off) ||
                   !is_free(l, loc->off, space))) {
      space = MIN(text, l->footer_off - loc->off);
      reader_report(r, VHD_NOTE, VHD_LOCATOR,
                    "not all of the space set aside for %s is free for it",
                    names[i]);
    }
    if (fault) {
      /* Nobody has to stumble over it. */
      layout_tell(r->sink, VHD_BROKEN, VHD_LOCATOR,
                  "%s %s (%u bytes at %" PRIu64 ", space %u)", names[i],
                  fault, loc->len, loc->off, loc->space);
      continue;
    }
    if (space != 0)
      l->region[l->nregion++] = (struct region){ loc->off, space, names[i] };
    l->locator[i] = *loc;
  }
  return 0;
}

int
layout_read_batmap(struct reader *r)
{
  struct layout *l = r->l;
  uint8_t buf[BATMAP_HEADER_SIZE] = { 0 };
  uint64_t off = batmap_header_off(&l->header);
  size_t n = sizeof buf;
  const char *why;

  /* Where a block lies there is none: what looks like one is the guest's. */
  if (!batmap_expected(&l->footer) || off >= l->footer_off ||
      layout_block_over(l, off, sizeof buf) != NO_SLOT)
    return 0;
  if (n > l->footer_off - off)
    n = (size_t)(l->footer_off - off);
  int e = file_read(r->file, buf, n, off);
  if (e < 0)
    return vhd_fail_sys(r->err, -e, "%s: cannot read the batmap", l->path);
  e = batmap_parse(buf, l->header.max_table_entries, &l->batmap, &why);
  if (e == -ENOENT)
    return 0;
  /* Without its cookie it would be none; with it, it would look like one as
   * soon as the file grew. */
  if (n < sizeof buf)
    return reader_report(r, VHD_BROKEN, VHD_BATMAP,
                         "the header of the batmap is cut off");
  if (e < 0)
    return reader_report(r, VHD_BROKEN, VHD_BATMAP, "the batmap %s", why);
  e = reader_add_region(r, "header of the batmap", VHD_BATMAP, off, sizeof buf);
  if (e != 0)
    return e < 0 ? e : 0;
  size_t len = (size_t)l->batmap.nsec * 512;
  e = reader_add_region(r, "batmap", VHD_BATMAP, l->batmap.off, len);
  if (e != 0)
    return e < 0 ? e : 0;
  if (layout_block_over(l, l->batmap.off, len) != NO_SLOT)
    return reader_report(r, VHD_BROKEN, VHD_BATMAP,
                         "block %" PRIu32 " overlaps the batmap",
                         layout_block_over(l, l->batmap.off, len));
  l->batmap_bits = malloc(len);
  if (!l->batmap_bits)
    return vhd_fail_sys(r->err, ENOMEM, "%s", l->path);
  e = file_read(r->file, l->batmap_bits, len, l->batmap.off);
  if (e < 0)
    return vhd_fail_sys(r->err, -e, "%s: cannot read the batmap", l->path);
  l->has_batmap = true;
  if (!batmap_sum_ok(&l->batmap, l->batmap_bits, len))
    return reader_report(r, VHD_NOTE, VHD_BATMAP,
                         "the checksum of the batmap is wrong");
  return 0;
}

/* --------------------------------------------------------------------- all */

int
layout_refuse_vhdx(struct reader *r)
{
  enum vhd_format format;

  int e = layout_format(r->file, &format, r->err);
  return e < 0 || format == VHD_FORMAT_VHD ? e : layout_refuse_others(r);
}

static int
begin(struct reader *r)
{
  memset(r->l, 0, sizeof *r->l);
  r->l->path = r->file->path;
  int e = file_size(r->file, &r->l->file_size);
  if (e < 0)
    return vhd_fail_sys(r->err, -e, "%s: cannot tell the size",
                        r->file->path);
  e = layout_refuse_vhdx(r);
  return e < 0 ? e : layout_read_footer(r);
}

/* What follows the footer: each part of it, up to the NULL.  A fixed disk has
 * none. */
static int
read_parts(struct reader *r, uint32_t flags,
           int (*const *part)(struct reader *r))
{
  int e = layout_choose_size(r, flags);

  if (e == 0 && r->l->footer.type != VHD_FIXED)
    for (; e == 0 && *part != NULL; part++)
      e = (*part)(r);
  return e;
}

int
layout_recheck(struct vhd_file *file, struct layout *layout,
               struct vhd_error *err)
{
  struct reader r = { file, layout, NULL, err };

  slots_free(&layout->slots);
  int e = layout_check_bat(&r);
  if (e == 0 && layout->nspare > 0 && layout_find_slots(layout) < 0)
    e = vhd_fail_sys(err, ENOMEM, "%s", layout->path);
  return e;
}

int
layout_read(struct vhd_file *file, uint32_t flags, struct layout_sink *sink,
            struct layout *layout, struct vhd_error *err)
{
  static int (*const parts[])(struct reader *) = {
    read_header, layout_read_bat, layout_check_bat, layout_read_locators,
    layout_read_batmap, layout_read_spare, NULL,
  };
  struct reader r = { file, layout, sink, err };

  int e = begin(&r);
  if (e == 0)
    e = read_parts(&r, flags, parts);
  if (e < 0)
    layout_free(layout);
  return e;
}

int
layout_read_head(struct vhd_file *file, struct layout_sink *sink,
                 struct layout *layout, struct vhd_error *err)
{
  static int (*const parts[])(struct reader *) = {
    read_header, layout_read_locators, NULL,
  };
  struct reader r = { file, layout, sink, err };

  int e = begin(&r);
  if (e == 0)
    return read_parts(&r, 0, parts);
  layout->footer = (struct footer){ 0 };
  return e;
}

int
layout_read_raw(struct vhd_file *file, struct layout *layout,
                struct vhd_error *err)
{
  memset(layout, 0, sizeof *layout);
  layout->path = file->path;
  int e = file_size(file, &layout->file_size);
  layout->disk_size = layout->file_size;
  return e < 0 ? vhd_fail_sys(err, -e, "%s: cannot tell the size", file->path)
               : 0;
}

void
layout_free(struct layout *layout)
{
  bat_free(&layout->bat);
  slots_free(&layout->slots);
  free(layout->batmap_bits);
  layout->batmap_bits = NULL;
  if (!layout->vhdx)
    return;
  table_free(layout->vhdx->state, layout->nblk, sizeof *layout->vhdx->state);
  layout_vhdx_free(layout->vhdx);
  layout->vhdx = NULL;
}

/* --------------------------------------------------------------------- walk */

static int
compare_regions(const void *a, const void *b)
{
  const struct region *x = a, *y = b;

  return x->off < y->off ? -1 : x->off > y->off;
}

static void
next_stretch(struct layout_walk *w)
{
  w->more = slots_stretch(&w->layout->slots, &w->at, &w->from, &w->to);
}

void
layout_walk_begin(struct layout_walk *walk, const struct layout *layout)
{
  walk->layout = layout;
  memcpy(walk->region, layout->region, sizeof walk->region);
  qsort(walk->region, layout->nregion, sizeof walk->region[0],
        compare_regions);
  walk->nth = 0;
  walk->at = 0;
  next_stretch(walk);
}

bool
layout_walk_next(struct layout_walk *walk, uint64_t *off, uint64_t *end)
{
  const struct region *region =
    walk->nth < walk->layout->nregion ? &walk->region[walk->nth] : NULL;

  if (region && (!walk->more || region->off < walk->from * 512)) {
    *off = region->off;
    *end = region->off + region->len;
    walk->nth++;
    return true;
  }
  if (!walk->more)
    return false;
  *off = walk->from * 512;
  *end = walk->to * 512;
  next_stretch(walk);
  return true;
}
