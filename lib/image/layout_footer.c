/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_footer.c: which footer of an image file counts, and how large the disk
 * is by it.
 *
 * A valid one at the end of the file wins.  Its copy at the start is used only
 * where the end is missing or bad, and never for a disk that could be fixed,
 * for the first sector of a fixed disk is the guest's. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/error.h"
#include "format/geometry.h"
#include "image/layout_reader.h"

/* What other files begin with, or have somewhere. */
static const struct {
  uint64_t off;
  const char *magic;
  size_t len;
  const char *name;
} other_formats[] = {
  { 0, "vhdxfile", 8, "a VHDX image" },
  { 0, "QFI\xfb", 4, "a qcow image" },
  { 0, "KDMV", 4, "a VMDK image" },
  { 0, "COWD", 4, "a VMDK image" },
  { 0, "# Disk DescriptorFile", 21, "a VMDK descriptor" },
  { 64, "\x7f\x10\xda\xbe", 4, "a VDI image" },
  { 0, "\x1f\x8b", 2, "a file that was compressed with gzip" },
  { 0, "\xfd" "7zXZ", 6, "a file that was compressed with xz" },
  { 0, "BZh", 3, "a file that was compressed with bzip2" },
  { 0, "\x28\xb5\x2f\xfd", 4, "a file that was compressed with zstd" },
  { 0, "PK\3\4", 4, "a zip archive" },
  { 32769, "CD001", 5, "an ISO image" },
};

static bool
has_magic(struct reader *r, uint64_t off, const char *magic, size_t len)
{
  char buf[FOOTER_SIZE];

  return range_fits(off, len, r->l->file_size) &&
         file_read(r->file, buf, len, off) == 0 && memcmp(buf, magic, len) == 0;
}

/* The mark of a boot sector; but with a dynamic header behind it, it is the
 * copy of the footer that is gone. */
static bool
is_raw(struct reader *r)
{
  return has_magic(r, 510, "\x55\xaa", 2) &&
         !has_magic(r, FOOTER_SIZE, "cxsparse", 8);
}

int
layout_refuse_others(struct reader *r)
{
  for (size_t i = 0; i < sizeof other_formats / sizeof *other_formats; i++)
    if (has_magic(r, other_formats[i].off, other_formats[i].magic,
                  other_formats[i].len))
      return vhd_fail(r->err, VHD_FORMAT_UNKNOWN, EINVAL,
                      "%s: this is %s, not a VHD", r->file->path,
                      other_formats[i].name);
  return 0;
}

/* Neither end has a footer: says so as helpfully as can be. */
static int
no_footer(struct reader *r)
{
  int e = layout_refuse_others(r);
  if (e < 0)
    return e;
  if (is_raw(r))
    return vhd_fail(r->err, VHD_FORMAT_UNKNOWN, EINVAL,
                    "%s: this is a raw disk, not a VHD; or a fixed one that "
                    "lost its footer", r->file->path);
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
  const char *field = footer_difference(end, head);

  if (field)
    return reader_report(r, VHD_BROKEN, VHD_FOOTER_CORRUPT,
                         "the footer at the end of the file and its copy at "
                         "the start are both valid but differ in the %s",
                         field);
  if (end->timestamp != head->timestamp ||
      end->saved_state != head->saved_state ||
      memcmp(end->creator, head->creator, sizeof end->creator) != 0)
    return reader_report(r, VHD_NOTE, VHD_FOOTER_CORRUPT,
                         "the copy of the footer at the start of the file is "
                         "out of date; the one at the end counts");
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
      return no_footer(r);
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
  return reader_report(r, VHD_NOTE,
                       end_result == -ENOENT ? VHD_FOOTER_MISSING
                                             : end_err->code,
                       "the footer at the end of the file is %s; its copy at "
                       "the start is used",
                       end_result == -ENOENT ? "missing" : "bad");
}

int
layout_read_footer(struct reader *r)
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
      return reader_report(r, VHD_BROKEN, VHD_STATE,
                           "the copy of the footer at offset 0 is marked "
                           "\"v_poison\": vhd-util was interrupted while it "
                           "resized this image; let it finish or undo that");
    return reader_report(r, VHD_NOTE, err.code,
                         "the copy of the footer at the start of the file is "
                         "bad; the one at the end is used");
  }
  return compare_footers(r, &l->footer, &head);
}

/* -------------------------------------------------------------------- size */

int
layout_choose_size(struct reader *r, uint32_t flags)
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
    int e = reader_report(r, VHD_NOTE, VHD_SIZE,
                          "the size is %" PRIu64 " bytes but its geometry "
                          "makes %" PRIu64 ", which qemu would show for this "
                          "creator",
                          l->disk_size, geometry_size(g));
    if (e < 0)
      return e;
  }
  l->own_size = MAX(l->disk_size, l->footer.current_size);
  if (l->footer.type != VHD_FIXED)
    return 0;
  if (l->disk_size > l->footer_off)
    return vhd_fail(r->err, VHD_FILE_SIZE, EINVAL,
                    "%s: a fixed disk of %" PRIu64 " bytes, but the file holds "
                    "only %" PRIu64 " before its footer (cut short, or the "
                    "first part of a split image)",
                    l->path, l->disk_size, l->footer_off);
  if (l->disk_size < l->footer_off)
    return reader_report(r, VHD_NOTE, VHD_FILE_SIZE,
                         "%" PRIu64 " bytes lie between the end of the disk "
                         "and the footer", l->footer_off - l->disk_size);
  return 0;
}
