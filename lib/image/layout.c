/* SPDX-License-Identifier: BSD-2-Clause */
/* layout.c: reading and validating an image file.
 *
 * Which footer counts: a valid one at the end of the file wins.  Its copy at
 * the start is used only where the end is missing or bad, and never for a disk
 * that could be fixed, for the first sector of a fixed disk is the guest's.
 *
 * What must hold of a dynamic or differencing file, and is relied upon
 * everywhere above:
 *   1. the metadata regions lie in the file and do not overlap;
 *   2. every block of the BAT lies in the file, before the footer;
 *   3. no block overlaps another, nor a region.
 * What no tool depends on (padding, order, unaligned blocks, spare table
 * entries) is free. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "format/geometry.h"
#include "image/layout.h"

struct reader {
  struct vhd_file *file;
  struct layout *l;
  struct layout_sink *sink;
  struct vhd_error *err;
};

static int report(struct reader *r, enum vhd_severity severity, int code,
                  const char *fmt, ...)
  __attribute__((format(printf, 4, 5)));

static void tolerate(struct reader *r, int code, const char *fmt, ...)
  __attribute__((format(printf, 3, 4)));

/* Tells of something broken that nobody has to stumble over. */
static void
tolerate(struct reader *r, int code, const char *fmt, ...)
{
  char text[900];
  va_list args;

  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  if (r->sink)
    r->sink->found(r->sink, VHD_BROKEN, code, text);
}

/* Tells of something found.  Returns -EINVAL, with the error set, where it is
 * broken and nobody wants to hear more. */
static int
report(struct reader *r, enum vhd_severity severity, int code,
       const char *fmt, ...)
{
  char text[900];
  va_list args;

  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  if (r->sink)
    r->sink->found(r->sink, severity, code, text);
  if (severity != VHD_BROKEN || (r->sink && r->sink->keep_going))
    return 0;
  return vhd_fail(r->err, code, EINVAL, "%s: %s", r->file->path, text);
}

/* ------------------------------------------------------------------ footer */

static const struct {
  const char *magic;
  size_t len;
  const char *name;
} other_formats[] = {
  { "vhdxfile", 8, "a VHDX image" },
  { "QFI\xfb", 4, "a qcow image" },
  { "KDMV", 4, "a VMDK image" },
  { "# Disk DescriptorFile", 21, "a VMDK descriptor" },
  { "<<< Oracle VM VirtualBox Disk Image >>>", 39, "a VDI image" },
};

/* Neither end has a footer: says so as helpfully as can be. */
static int
no_footer(struct reader *r, const uint8_t *head, size_t len)
{
  for (size_t i = 0; i < sizeof other_formats / sizeof *other_formats; i++)
    if (len >= other_formats[i].len &&
        memcmp(head, other_formats[i].magic, other_formats[i].len) == 0)
      return vhd_fail(r->err, VHD_FORMAT_UNKNOWN, EINVAL,
                      "%s: this is %s, not a VHD", r->file->path,
                      other_formats[i].name);
  return vhd_fail(r->err, VHD_FOOTER_MISSING, EINVAL,
                  "%s: no VHD footer at the end of the file nor at its start; "
                  "not a VHD image, or cut short", r->file->path);
}

/* Parses the footer at the end of the file.  Returns 0 if it is valid;
 * -ENOENT if there is nothing like a footer; else its fault is in err. */
static int
read_end_footer(struct reader *r, struct footer *footer, uint64_t *off,
                bool *fixed, struct vhd_error *err)
{
  static const unsigned sizes[] = { FOOTER_SIZE, FOOTER_SIZE_OLD };
  uint8_t buf[FOOTER_SIZE];
  int result = -ENOENT;

  for (size_t i = 0; i < 2; i++) {
    if (r->l->file_size < sizes[i])
      continue;
    memset(buf, 0, sizeof buf);
    *off = r->l->file_size - sizes[i];
    int e = file_read(r->file, buf, sizes[i], *off);
    if (e < 0)
      return vhd_fail_sys(err, -e, "%s: cannot read the footer",
                          r->file->path);
    if (!footer_has_cookie(buf))
      continue;
    struct be32 type;
    memcpy(&type, buf + 60, sizeof type);
    *fixed = be32_get(type) == VHD_FIXED;
    result = footer_parse(buf, r->file->path, "footer at the end of the file",
                          footer, err);
    if (result == 0)
      return 0;
  }
  *off = r->l->file_size;
  return result;
}

/* The copy at the start must be the same disk. */
static int
compare_footers(struct reader *r, const struct footer *end,
                const struct footer *head)
{
  const char *field = NULL;

  if (end->type != head->type)
    field = "type";
  else if (end->current_size != head->current_size)
    field = "size";
  else if (end->data_offset != head->data_offset)
    field = "data offset";
  else if (memcmp(end->id, head->id, sizeof end->id) != 0)
    field = "unique id";
  if (field)
    return report(r, VHD_BROKEN, VHD_FOOTER_CORRUPT,
                  "the footer at the end of the file and its copy at the start "
                  "are both valid but differ in the %s", field);
  if (end->timestamp != head->timestamp ||
      end->saved_state != head->saved_state ||
      memcmp(end->creator, head->creator, sizeof end->creator) != 0)
    return report(r, VHD_NOTE, VHD_FOOTER_CORRUPT,
                  "the copy of the footer at the start of the file is out of "
                  "date; the one at the end counts");
  return 0;
}

static int
use_head_footer(struct reader *r, const uint8_t *buf, bool have_head,
                int end_result, const struct vhd_error *end_err,
                bool end_is_fixed)
{
  struct footer head;
  struct vhd_error err;
  bool cookie = have_head && footer_has_cookie(buf);
  /* What is wrong with the end is no damage that its copy could make good. */
  bool final = end_err->code == VHD_STATE || end_err->code == VHD_SYSTEM;

  if (final || end_is_fixed || !cookie ||
      footer_parse(buf, r->file->path, "copy of the footer at offset 0",
                   &head, &err) < 0 ||
      head.type == VHD_FIXED) {
    if (end_result != -ENOENT) {
      if (r->err)
        *r->err = *end_err;
      return end_result;
    }
    if (!cookie)
      return no_footer(r, buf, have_head ? FOOTER_SIZE : 0);
    if (footer_parse(buf, r->file->path, "copy of the footer at offset 0",
                     &head, r->err) < 0)
      return -EINVAL;
    return vhd_fail(r->err, VHD_FOOTER_MISSING, EINVAL,
                    "%s: no footer at the end of the file, and the one at "
                    "offset 0 is of a fixed disk, which has none there",
                    r->file->path);
  }
  r->l->footer = head;
  r->l->end_footer = false;
  r->l->footer_off = r->l->file_size;
  return report(r, VHD_NOTE, end_result == -ENOENT ? VHD_FOOTER_MISSING
                                                   : end_err->code,
                "the footer at the end of the file is %s; its copy at the "
                "start is used", end_result == -ENOENT ? "missing" : "bad");
}

static int
read_footer(struct reader *r)
{
  struct layout *l = r->l;
  uint8_t head_buf[FOOTER_SIZE] = { 0 };
  struct vhd_error end_err = { .code = VHD_OK };
  bool end_is_fixed = false;
  bool have_head = l->file_size >= FOOTER_SIZE;

  int end = read_end_footer(r, &l->footer, &l->footer_off, &end_is_fixed,
                            &end_err);
  if (end == 0 && l->footer.type == VHD_FIXED) {
    l->end_footer = true;
    return 0;
  }
  if (have_head) {
    int e = file_read(r->file, head_buf, sizeof head_buf, 0);
    if (e < 0)
      return vhd_fail_sys(r->err, -e, "%s: cannot read the first sector",
                          r->file->path);
  }
  if (end != 0)
    return use_head_footer(r, head_buf, have_head, end, &end_err,
                           end_is_fixed);

  l->end_footer = true;
  struct footer head;
  struct vhd_error err;
  if (footer_parse(head_buf, r->file->path, "copy of the footer at offset 0",
                   &head, &err) < 0) {
    if (err.code == VHD_STATE)
      return report(r, VHD_BROKEN, VHD_STATE,
                    "the copy of the footer at offset 0 is marked "
                    "\"v_poison\": vhd-util was interrupted while it resized "
                    "this image; let it finish or undo that");
    return report(r, VHD_NOTE, err.code,
                  "the copy of the footer at the start of the file is bad; "
                  "the one at the end is used");
  }
  return compare_footers(r, &l->footer, &head);
}

/* -------------------------------------------------------------------- size */

static int
choose_size(struct reader *r, uint32_t flags)
{
  struct layout *l = r->l;
  struct geometry g = { l->footer.cylinders, l->footer.heads,
                        l->footer.sectors };

  l->disk_size = l->footer.current_size;
  if (flags & VHD_OPEN_SIZE_CHS) {
    l->disk_size = geometry_size(g);
    if (l->disk_size == 0)
      return vhd_fail(r->err, VHD_SIZE, EINVAL,
                      "%s: the geometry %u/%u/%u makes no size", l->path,
                      g.cylinders, g.heads, g.sectors);
  } else if ((memcmp(l->footer.creator, "vpc ", 4) == 0 ||
              memcmp(l->footer.creator, "qemu", 4) == 0) &&
             geometry_size(g) != l->disk_size &&
             !(g.cylinders == 65535 && g.heads == 16 && g.sectors == 255)) {
    int e = report(r, VHD_NOTE, VHD_SIZE,
                   "the size is %" PRIu64 " bytes but its geometry makes %"
                   PRIu64 ", which qemu would show for this creator",
                   l->disk_size, geometry_size(g));
    if (e < 0)
      return e;
  }
  if (l->footer.type != VHD_FIXED)
    return 0;
  if (l->disk_size > l->footer_off)
    return vhd_fail(r->err, VHD_FILE_SIZE, EINVAL,
                    "%s: a fixed disk of %" PRIu64 " bytes, but the file holds "
                    "only %" PRIu64 " before its footer (cut short, or the "
                    "first part of a split image)",
                    l->path, l->disk_size, l->footer_off);
  if (l->disk_size < l->footer_off)
    return report(r, VHD_NOTE, VHD_FILE_SIZE,
                  "%" PRIu64 " bytes lie between the end of the disk and the "
                  "footer", l->footer_off - l->disk_size);
  return 0;
}

/* ------------------------------------------------------------------ header */

/* The metadata that lies over part of this stretch, or NULL. */
static const struct region *
region_over(const struct layout *l, uint64_t off, uint64_t len)
{
  for (unsigned i = 0; i < l->nregion; i++) {
    const struct region *o = &l->region[i];
    if (off < o->off + o->len && o->off < off + len)
      return o;
  }
  return NULL;
}

/* Invariant 1.  1: it is none, which somebody has been told. */
static int
add_region(struct reader *r, const char *what, int code, uint64_t off,
           uint64_t len)
{
  struct layout *l = r->l;
  int e;

  if (!range_fits(off, len, l->footer_off)) {
    e = report(r, VHD_BROKEN, code,
               "the %s (%" PRIu64 " bytes at %" PRIu64 ") does not lie in the "
               "file, whose footer is at %" PRIu64, what, len, off,
               l->footer_off);
    return e < 0 ? e : 1;
  }
  const struct region *o = region_over(l, off, len);
  if (o) {
    e = report(r, VHD_BROKEN, code,
               "the %s (%" PRIu64 " bytes at %" PRIu64 ") overlaps the %s "
               "(%" PRIu64 " bytes at %" PRIu64 ")", what, len, off, o->what,
               o->len, o->off);
    return e < 0 ? e : 1;
  }
  l->region[l->nregion++] = (struct region){ off, len, what };
  return 0;
}

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
  e = add_region(r, "dynamic header", VHD_HEADER_CORRUPT, off, HEADER_SIZE);
  if (e != 0)
    return e < 0 ? e : vhd_fail(r->err, VHD_HEADER_CORRUPT, EINVAL,
                                "%s: the dynamic header overlaps the footer",
                                l->path);
  l->spb = l->header.block_size / 512;
  l->bitmap_sec = header_bitmap_sectors(l->header.block_size);
  l->nblk = DIV_ROUND_UP(l->disk_size, l->header.block_size);
  return 0;
}

/* --------------------------------------------------------------------- BAT */

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
  return report(r, VHD_BROKEN, VHD_BAT_CORRUPT, "%" PRIu32 " more blocks %s",
                n - TOLD_MAX, what);
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
              : report(r, VHD_BROKEN, VHD_BAT_CORRUPT,
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
    int e = report(r, VHD_BROKEN, VHD_BAT_CORRUPT,
                   "blocks %" PRIu32 " and %" PRIu32 " overlap at sector %"
                   PRIu32, blk, other, b);
    if (e < 0)
      return e;
  }
  return report_more(r, noverlap, "overlap another");
}

/* A block that lies over part of this stretch of the file, or NO_SLOT. */
static uint32_t
block_over(const struct layout *l, uint64_t off, uint64_t len)
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
    uint32_t blk = block_over(l, reg->off, reg->len);
    if (blk == NO_SLOT)
      continue;
    int e = report(r, VHD_BROKEN, VHD_BAT_CORRUPT,
                   "block %" PRIu32 " at sector %" PRIu32 " overlaps the %s",
                   blk, l->bat[blk], reg->what);
    if (e < 0)
      return e;
  }
  return 0;
}

static int
read_bat(struct reader *r)
{
  struct layout *l = r->l;
  uint64_t off = l->header.table_offset;
  uint64_t len = round_up((uint64_t)l->header.max_table_entries * 4, 512);

  /* The padding of the last sector may be cut off; its entries may not. */
  if (!range_fits(off, len, l->footer_off))
    len = (uint64_t)l->header.max_table_entries * 4;
  int e = add_region(r, "block allocation table", VHD_BAT_CORRUPT, off, len);
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

static int
check_bat(struct reader *r)
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

/* -------------------------------------------------------- locators, batmap */

/* Locators are of use only to find a parent, which can be found without them:
 * a bad one is told of, and left alone.  One that lies where something else
 * does is bad as well: qemu puts blocks over them; and one that lay beyond the
 * end of the file must not make the image unreadable once the file has grown
 * there. */
static int
read_locators(struct reader *r)
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
    uint64_t space = MAX(loc->space, loc->len);
    const char *fault = NULL;

    if (loc->code == LOCATOR_NONE)
      continue;
    if (locator_check(loc, &fault) == 0 &&
        !range_fits(loc->off, space, l->footer_off))
      fault = "does not lie in the file";
    space = round_up(space, 512);
    if (!fault && space != 0 &&
        (region_over(l, loc->off, space) ||
         block_over(l, loc->off, space) != NO_SLOT))
      fault = "lies where something else does";
    if (fault) {
      tolerate(r, VHD_LOCATOR, "%s %s (%u bytes at %" PRIu64 ", space %u)",
               names[i], fault, loc->len, loc->off, loc->space);
      continue;
    }
    if (space != 0)
      l->region[l->nregion++] = (struct region){ loc->off, space, names[i] };
    l->locator[i] = *loc;
  }
  return 0;
}

static int
read_batmap(struct reader *r)
{
  struct layout *l = r->l;
  uint8_t buf[BATMAP_HEADER_SIZE];
  uint64_t off = batmap_header_off(&l->header);
  const char *why;

  /* Where a block lies there is none: what looks like one is the guest's. */
  if (!batmap_expected(&l->footer) ||
      !range_fits(off, sizeof buf, l->footer_off) ||
      block_over(l, off, sizeof buf) != NO_SLOT)
    return 0;
  int e = file_read(r->file, buf, sizeof buf, off);
  if (e < 0)
    return vhd_fail_sys(r->err, -e, "%s: cannot read the batmap", l->path);
  e = batmap_parse(buf, l->header.max_table_entries, &l->batmap, &why);
  if (e == -ENOENT)
    return 0;
  if (e < 0)
    return report(r, VHD_BROKEN, VHD_BATMAP, "the batmap %s", why);
  e = add_region(r, "header of the batmap", VHD_BATMAP, off, sizeof buf);
  if (e != 0)
    return e < 0 ? e : 0;
  size_t len = (size_t)l->batmap.nsec * 512;
  e = add_region(r, "batmap", VHD_BATMAP, l->batmap.off, len);
  if (e != 0)
    return e < 0 ? e : 0;
  if (block_over(l, l->batmap.off, len) != NO_SLOT)
    return report(r, VHD_BROKEN, VHD_BATMAP,
                  "block %" PRIu32 " overlaps the batmap",
                  block_over(l, l->batmap.off, len));
  l->batmap_bits = malloc(len);
  if (!l->batmap_bits)
    return vhd_fail_sys(r->err, ENOMEM, "%s", l->path);
  e = file_read(r->file, l->batmap_bits, len, l->batmap.off);
  if (e < 0)
    return vhd_fail_sys(r->err, -e, "%s: cannot read the batmap", l->path);
  l->has_batmap = true;
  if (!batmap_sum_ok(&l->batmap, l->batmap_bits, len))
    return report(r, VHD_NOTE, VHD_BATMAP,
                  "the checksum of the batmap is wrong");
  return 0;
}

/* --------------------------------------------------------------------- all */

static int
read_all(struct reader *r, uint32_t flags)
{
  int e = file_size(r->file, &r->l->file_size);
  if (e < 0)
    return vhd_fail_sys(r->err, -e, "%s: cannot tell the size",
                        r->file->path);
  e = read_footer(r);
  if (e < 0)
    return e;
  e = choose_size(r, flags);
  if (e < 0 || r->l->footer.type == VHD_FIXED)
    return e;

  static int (*const parts[])(struct reader *) = {
    read_header, read_bat, check_bat, read_locators, read_batmap,
  };
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    e = parts[i](r);
    if (e < 0)
      return e;
  }
  return 0;
}

int
layout_recheck(struct vhd_file *file, struct layout *layout,
               struct vhd_error *err)
{
  struct reader r = { file, layout, NULL, err };

  free(layout->slot);
  layout->slot = NULL;
  return check_bat(&r);
}

int
layout_read(struct vhd_file *file, uint32_t flags, struct layout_sink *sink,
            struct layout *layout, struct vhd_error *err)
{
  struct reader r = { file, layout, sink, err };

  memset(layout, 0, sizeof *layout);
  layout->path = file->path;
  int e = read_all(&r, flags);
  if (e < 0)
    layout_free(layout);
  return e;
}

void
layout_free(struct layout *layout)
{
  free(layout->bat);
  free(layout->slot);
  free(layout->batmap_bits);
  layout->bat = NULL;
  layout->slot = NULL;
  layout->batmap_bits = NULL;
}
