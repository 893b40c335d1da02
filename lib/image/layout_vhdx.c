/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_vhdx.c: reading and validating a VHDX file: its headers and its table
 * of regions.
 *
 * There are two of each.  Of the headers the valid one with the higher sequence
 * number counts, so that one can be torn at any time.  What the log says comes
 * before all that is read after the headers. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "image/layout_vhdx_reader.h"

/* ------------------------------------------------------------------ headers */

static const char *const header_names[2] = { "first header", "second header" };

/* Reads the i-th: 0; 1: it is not valid, which somebody has been told. */
static int
read_header(struct vhdx_reader *v, unsigned i, struct vhdx_header *h)
{
  uint8_t buf[VHDX_HEADER_SIZE];
  const char *why;

  if (!range_fits(VHDX_HEADER_OFF(i), sizeof buf, v->r.l->file_size))
    return vhd_fail(v->r.err, VHD_HEADER_CORRUPT, EINVAL,
                    "%s: a VHDX that is cut short within its headers",
                    v->r.l->path);
  int e = file_read(v->r.file, buf, sizeof buf, VHDX_HEADER_OFF(i));
  if (e < 0)
    return vhd_fail_sys(v->r.err, -e, "%s: cannot read the %s", v->r.l->path,
                        header_names[i]);
  e = vhdx_header_parse(buf, h, &why);
  if (e == -ENOTSUP)
    return vhd_fail(v->r.err, VHD_HEADER_VERSION, EINVAL,
                    "%s: the %s %s", v->r.l->path, header_names[i], why);
  if (e == 0)
    return 0;
  layout_tell(v->r.sink, VHD_NOTE, VHD_HEADER_CHECKSUM, "the %s %s",
              header_names[i], why);
  return 1;
}

static int
choose_header(struct vhdx_reader *v)
{
  struct vhdx_header h[2] = { 0 };
  int bad[2];

  for (unsigned i = 0; i < 2; i++) {
    bad[i] = read_header(v, i, &h[i]);
    if (bad[i] < 0)
      return bad[i];
  }
  if (bad[0] && bad[1])
    return vhd_fail(v->r.err, VHD_HEADER_CHECKSUM, EINVAL,
                    "%s: a VHDX neither of whose headers is valid",
                    v->r.l->path);
  if (!bad[0] && !bad[1] && h[0].sequence == h[1].sequence &&
      memcmp(&h[0], &h[1], sizeof h[0]) != 0)
    return vhd_fail(v->r.err, VHD_HEADER_CORRUPT, EINVAL,
                    "%s: its headers differ, and have the same sequence "
                    "number: which of them counts cannot be told",
                    v->r.l->path);
  unsigned use = bad[0] || (!bad[1] && h[1].sequence > h[0].sequence);
  v->header = h[use];
  if (!vhdx_header_has_place(&v->header))
    return vhd_fail(v->r.err, VHD_HEADER_CORRUPT, EINVAL,
                    "%s: the %s, which counts, has its log in an impossible "
                    "place", v->r.l->path, header_names[use]);
  memcpy(v->x->data_id, v->header.data_id, sizeof v->x->data_id);
  int e = vhdx_add_extent(v, 0, VHDX_UNIT, "headers");
  if (e == 0 && v->header.log_len > 0)
    e = vhdx_add_extent(v, v->header.log_off, v->header.log_len, "log");
  return e;
}

/* ------------------------------------------------------------------ regions */

/* How many entries the first valid copy has, which is then in buf; or
 * -errno. */
static int
read_table(struct vhdx_reader *v, uint8_t *buf)
{
  static const char *const names[2] = { "region table",
                                        "second region table" };
  uint8_t *other = buf + VHDX_TABLE_SIZE;
  int count[2];

  for (unsigned i = 0; i < 2; i++) {
    uint8_t *to = i == 0 ? buf : other;
    const char *why;
    int e = range_fits(VHDX_TABLE_OFF(i), VHDX_TABLE_SIZE, v->r.l->file_size)
              ? file_read(v->r.file, to, VHDX_TABLE_SIZE, VHDX_TABLE_OFF(i))
              : 0;
    if (e < 0)
      return vhd_fail_sys(v->r.err, -e, "%s: cannot read the %s",
                          v->r.l->path, names[i]);
    count[i] = vhdx_regions_check(to, &why);
    if (count[i] < 0)
      layout_tell(v->r.sink, VHD_NOTE, VHD_HEADER_CORRUPT, "the %s %s",
                  names[i], why);
  }
  if (count[0] < 0 && count[1] < 0)
    return vhd_fail(v->r.err, VHD_HEADER_CORRUPT, EINVAL,
                    "%s: neither copy of its region table is valid",
                    v->r.l->path);
  if (count[0] >= 0)
    return count[0];
  memcpy(buf, other, VHDX_TABLE_SIZE);
  return count[1];
}

static int
take_region(struct vhdx_reader *v, const struct vhdx_region *region)
{
  static const char *const names[VHDX_KINDS] = {
    [VHDX_BAT] = "block allocation table",
    [VHDX_METADATA] = "metadata",
  };
  const char *name = names[region->kind];
  struct vhdx_region *mine = region->kind == VHDX_BAT ? &v->bat : &v->metadata;

  if (!name && region->required)
    return vhd_fail(v->r.err, VHD_FORMAT_VERSION, EINVAL,
                    "%s: it has a region (at %" PRIu64 ") without which it "
                    "must not be opened, and which is not known here",
                    v->r.l->path, region->off);
  if (!name)
    return vhdx_add_extent(v, region->off, region->len, "unknown region");
  if (mine->kind == region->kind)
    return vhd_fail(v->r.err, VHD_HEADER_CORRUPT, EINVAL,
                    "%s: its region table names the %s twice", v->r.l->path,
                    name);
  if (!range_fits(region->off, region->len, v->r.l->file_size))
    return vhd_fail(v->r.err, VHD_FILE_SIZE, EINVAL,
                    "%s: the %s (%" PRIu32 " bytes at %" PRIu64 ") does not "
                    "lie in the file, which has %" PRIu64, v->r.l->path, name,
                    region->len, region->off, v->r.l->file_size);
  *mine = *region;
  return vhdx_add_extent(v, region->off, region->len, name);
}

static int
read_regions(struct vhdx_reader *v)
{
  CLEANUP_FREE uint8_t *buf = calloc(2, VHDX_TABLE_SIZE);

  if (!buf)
    return vhd_fail_sys(v->r.err, ENOMEM, "%s", v->r.l->path);
  int n = read_table(v, buf);
  for (int i = 0; i < n; i++) {
    struct vhdx_region region;
    int e = vhdx_region_parse(buf, (unsigned)i, &region);
    e = e < 0 ? vhd_fail(v->r.err, VHD_HEADER_CORRUPT, EINVAL,
                         "%s: entry %d of its region table is malformed",
                         v->r.l->path, i)
              : take_region(v, &region);
    if (e < 0)
      return e;
  }
  if (n < 0)
    return n;
  if (v->bat.kind != VHDX_BAT || v->metadata.kind != VHDX_METADATA)
    return vhd_fail(v->r.err, VHD_HEADER_CORRUPT, EINVAL,
                    "%s: its region table has no %s", v->r.l->path,
                    v->bat.kind != VHDX_BAT ? "block allocation table"
                                            : "metadata");
  return 0;
}

/* --------------------------------------------------------------------- all */

static int
read_all(struct vhdx_reader *v)
{
  static int (*const parts[])(struct vhdx_reader *) = {
    choose_header, layout_vhdx_replay, read_regions,
    layout_vhdx_read_metadata, layout_vhdx_read_bat,
  };
  uint8_t buf[VHDX_SIGNATURE_SIZE];
  struct layout *l = v->r.l;

  int e = file_size(v->r.file, &l->file_size);
  if (e == 0 && l->file_size >= sizeof buf)
    e = file_read(v->r.file, buf, sizeof buf, 0);
  if (e < 0)
    return vhd_fail_sys(v->r.err, -e, "%s: cannot be read", l->path);
  if (l->file_size < sizeof buf || !vhdx_has_signature(buf))
    return vhd_fail(v->r.err, VHD_FORMAT_UNKNOWN, EINVAL,
                    "%s: this is no VHDX image", l->path);
  for (size_t i = 0; e == 0 && i < sizeof parts / sizeof *parts; i++)
    e = parts[i](v);
  return e;
}

int
layout_vhdx_read(struct vhd_file *file, struct layout_sink *sink,
                 struct layout *layout, struct vhd_error *err)
{
  struct vhdx_reader v = { .r = { file, layout, sink, err } };

  memset(layout, 0, sizeof *layout);
  layout->path = file->path;
  layout->vhdx = v.x = calloc(1, sizeof *v.x);
  if (!v.x)
    return vhd_fail_sys(err, ENOMEM, "%s", file->path);
  patched_init(&v.x->over, file);
  int e = read_all(&v);
  free(v.extent);
  if (e < 0)
    layout_free(layout);
  return e;
}
