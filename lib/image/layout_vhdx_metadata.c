/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_vhdx_metadata.c: what kind of disk a VHDX file holds, and which parent
 * it names. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/utf.h"
#include "format/guid.h"
#include "format/locator.h"
#include "image/layout_vhdx_reader.h"
#include "store/folder.h"

static const char *const names[VHDX_KINDS] = {
  [VHDX_PARAMETERS] = "file parameters",
  [VHDX_SIZE] = "size of the disk",
  [VHDX_DISK_ID] = "id of the disk",
  [VHDX_LOGICAL_SECTOR] = "logical sector size",
  [VHDX_PHYSICAL_SECTOR] = "physical sector size",
  [VHDX_LOCATOR] = "parent locator",
};

struct items {
  struct vhdx_item of[VHDX_KINDS]; /* .kind: it is there */
  uint8_t *buf;                    /* VHDX_MAX_ITEM */
};

/* -------------------------------------------------------------------- table */

static int
take_item(struct vhdx_reader *v, const struct vhdx_item *item,
          struct items *items)
{
  if (names[item->kind] == NULL) {
    if (item->required)
      return vhd_fail(v->r.err, VHD_FORMAT_VERSION, EINVAL,
                      "%s: it has metadata (at %" PRIu32 ") without which it "
                      "must not be opened, and which are not known here",
                      v->r.l->path, item->off);
    return 0;
  }
  if (items->of[item->kind].kind != VHDX_UNKNOWN)
    return vhd_fail(v->r.err, VHD_HEADER_CORRUPT, EINVAL,
                    "%s: its metadata name the %s twice", v->r.l->path,
                    names[item->kind]);
  if (!range_fits(item->off, item->len, v->metadata.len))
    return vhd_fail(v->r.err, VHD_HEADER_CORRUPT, EINVAL,
                    "%s: the %s (%" PRIu32 " bytes at %" PRIu32 ") does not "
                    "lie among its metadata", v->r.l->path, names[item->kind],
                    item->len, item->off);
  items->of[item->kind] = *item;
  return 0;
}

static int
read_items(struct vhdx_reader *v, struct items *items)
{
  const char *why;

  int e = file_read(v->r.file, items->buf, VHDX_TABLE_SIZE, v->metadata.off);
  if (e < 0)
    return vhd_fail_sys(v->r.err, -e, "%s: cannot read its metadata",
                        v->r.l->path);
  int n = vhdx_items_check(items->buf, &why);
  if (n < 0)
    return vhd_fail(v->r.err, VHD_HEADER_CORRUPT, EINVAL,
                    "%s: the table of its metadata %s", v->r.l->path, why);
  for (int i = 0; i < n; i++) {
    struct vhdx_item item;
    e = vhdx_item_parse(items->buf, (unsigned)i, &item);
    e = e < 0 ? vhd_fail(v->r.err, VHD_HEADER_CORRUPT, EINVAL,
                         "%s: entry %d of the table of its metadata is "
                         "malformed", v->r.l->path, i)
              : take_item(v, &item, items);
    if (e < 0)
      return e;
  }
  return 0;
}

/* -------------------------------------------------------------------- items */

/* Reads one; 1: there is none. */
static int
get_item(struct vhdx_reader *v, struct items *items, enum vhdx_kind kind)
{
  const struct vhdx_item *item = &items->of[kind];

  if (item->kind == VHDX_UNKNOWN)
    return 1;
  int e = file_read(v->r.file, items->buf, item->len,
                    v->metadata.off + item->off);
  return e < 0 ? vhd_fail_sys(v->r.err, -e, "%s: cannot read the %s",
                              v->r.l->path, names[kind]) : 0;
}

static int
is_wrong(struct vhdx_reader *v, enum vhdx_kind kind, const char *why)
{
  return vhd_fail(v->r.err, kind == VHDX_SIZE ? VHD_SIZE : VHD_HEADER_CORRUPT,
                  EINVAL, "%s: the %s %s", v->r.l->path, names[kind], why);
}

static int
read_parameters(struct vhdx_reader *v, struct items *items,
                struct vhdx_parameters *p)
{
  const char *why = "are missing";

  int e = get_item(v, items, VHDX_PARAMETERS);
  if (e == 0)
    e = vhdx_parameters_parse(items->buf, items->of[VHDX_PARAMETERS].len, p,
                              &why) < 0;
  if (e <= 0)
    return e;
  return vhd_fail(v->r.err, VHD_BLOCK_SIZE, EINVAL, "%s: the %s %s",
                  v->r.l->path, names[VHDX_PARAMETERS], why);
}

static int
read_number(struct vhdx_reader *v, struct items *items, enum vhdx_kind kind,
            uint64_t *value)
{
  const char *why = "is missing";

  int e = get_item(v, items, kind);
  if (e == 0)
    e = vhdx_number_parse(kind, items->buf, items->of[kind].len, value,
                          &why) < 0;
  return e <= 0 ? e : is_wrong(v, kind, why);
}

/* What is not there, or odd, does no harm. */
static int
read_descriptive(struct vhdx_reader *v, struct items *items)
{
  struct layout_vhdx *x = v->x;
  const char *why;
  uint64_t size;

  int e = get_item(v, items, VHDX_DISK_ID);
  if (e < 0)
    return e;
  if (e == 0 && items->of[VHDX_DISK_ID].len >= sizeof x->disk_id)
    memcpy(x->disk_id, items->buf, sizeof x->disk_id);
  else
    layout_tell(v->r.sink, VHD_NOTE, VHD_HEADER_CORRUPT, "the %s is missing",
                names[VHDX_DISK_ID]);
  e = get_item(v, items, VHDX_PHYSICAL_SECTOR);
  if (e < 0)
    return e;
  if (e == 0 && vhdx_number_parse(VHDX_PHYSICAL_SECTOR, items->buf,
                                  items->of[VHDX_PHYSICAL_SECTOR].len, &size,
                                  &why) == 0)
    x->physical_sector_size = (uint32_t)size;
  else
    layout_tell(v->r.sink, VHD_NOTE, VHD_HEADER_CORRUPT, "the %s is missing, "
                "or makes no sense", names[VHDX_PHYSICAL_SECTOR]);
  return 0;
}

static int
read_disk(struct vhdx_reader *v, struct items *items)
{
  struct layout_vhdx *x = v->x;
  struct layout *l = v->r.l;
  struct vhdx_parameters p;
  uint64_t sector;

  int e = read_parameters(v, items, &p);
  if (e == 0)
    e = read_number(v, items, VHDX_SIZE, &l->disk_size);
  if (e == 0)
    e = read_number(v, items, VHDX_LOGICAL_SECTOR, &sector);
  if (e < 0)
    return e;
  if (l->disk_size % sector != 0)
    return is_wrong(v, VHDX_SIZE, "is no whole number of sectors");
  x->sector_size = (uint32_t)sector;
  x->block_size = p.block_size;
  x->type = p.has_parent ? VHD_DIFFERENCING
            : p.leave_allocated ? VHD_FIXED : VHD_DYNAMIC;
  x->chunk_blocks = vhdx_chunk_blocks(x->sector_size, x->block_size);
  l->own_size = l->disk_size;
  l->nblk = (uint32_t)DIV_ROUND_UP(l->disk_size, p.block_size);
  l->spb = p.block_size / x->sector_size;
  l->aligned = true;
  x->nchunk = DIV_ROUND_UP(l->nblk, x->chunk_blocks);
  return read_descriptive(v, items);
}

/* ------------------------------------------------------------------- parent */

/* The id that a value says, in braces or not. */
static bool
parse_link(const uint8_t *value, size_t len, uint8_t *id)
{
  char text[64];

  size_t n = utf16_decode(value, len, false, text, sizeof text);
  if (n == 38 && text[0] == '{' && text[37] == '}') {
    text[37] = '\0';
    memmove(text, text + 1, 37);
  }
  return guid_parse_windows(text, id) == 0;
}

static int
read_links(struct vhdx_reader *v, const uint8_t *locator)
{
  static const char *const keys[VHDX_LINKS] = { "parent_linkage",
                                                "parent_linkage2" };
  struct layout_vhdx *x = v->x;
  const uint8_t *value;
  size_t len;

  for (size_t i = 0; i < VHDX_LINKS; i++)
    if (vhdx_locator_find(locator, keys[i], &value, &len) == 0 &&
        parse_link(value, len, x->link[x->nlink]))
      x->nlink++;
  return x->nlink > 0 ? 0
         : is_wrong(v, VHDX_LOCATOR, "does not say which file the parent is");
}

/* Of those that say nothing there are none. */
static int
read_path(struct vhdx_reader *v, enum vhdx_path which, const uint8_t *value,
          size_t len)
{
  struct layout_vhdx *x = v->x;
  char path[PATH_MAX], text[PATH_MAX];
  bool relative;

  if (len > LOCATOR_MAX_LEN ||
      locator_path(LOCATOR_W2RU, value, len, path, sizeof path,
                   &relative) < 0) {
    layout_tell(v->r.sink, VHD_DOUBTFUL, VHD_LOCATOR,
                "a path in the %s makes no sense", names[VHDX_LOCATOR]);
    return 0;
  }
  /* No volume of Windows has its id as its name here. */
  x->path[which] = strdup(which == VHDX_PATH_VOLUME ? folder_last_name(path)
                                                  : path);
  utf16_decode(value, len, false, text, sizeof text);
  if (x->parent_name == NULL)
    x->parent_name = strdup(text);
  return x->path[which] && x->parent_name
           ? 0 : vhd_fail_sys(v->r.err, ENOMEM, "%s", v->r.l->path);
}

static int
read_paths(struct vhdx_reader *v, const uint8_t *locator)
{
  /* In the order in which they are shown. */
  static const struct {
    enum vhdx_path which;
    const char *key;
  } keys[] = {
    { VHDX_PATH_ABSOLUTE, "absolute_win32_path" },
    { VHDX_PATH_RELATIVE, "relative_path" },
    { VHDX_PATH_VOLUME, "volume_path" },
  };
  const uint8_t *value;
  size_t len;
  int e = 0;

  for (size_t i = 0; e == 0 && i < sizeof keys / sizeof *keys; i++)
    if (vhdx_locator_find(locator, keys[i].key, &value, &len) == 0)
      e = read_path(v, keys[i].which, value, len);
  return e;
}

static int
read_parent(struct vhdx_reader *v, struct items *items)
{
  const char *why = "is missing";

  if (v->x->type != VHD_DIFFERENCING)
    return 0;
  int e = get_item(v, items, VHDX_LOCATOR);
  if (e == 0)
    e = vhdx_locator_check(items->buf, items->of[VHDX_LOCATOR].len, &why) < 0;
  if (e > 0)
    return is_wrong(v, VHDX_LOCATOR, why);
  if (e == 0)
    e = read_links(v, items->buf);
  return e < 0 ? e : read_paths(v, items->buf);
}

/* --------------------------------------------------------------------- all */

int
layout_vhdx_read_metadata(struct vhdx_reader *v)
{
  CLEANUP_FREE uint8_t *buf = malloc(VHDX_MAX_ITEM);
  struct items items = { .buf = buf };

  if (!buf)
    return vhd_fail_sys(v->r.err, ENOMEM, "%s", v->r.l->path);
  int e = read_items(v, &items);
  if (e == 0)
    e = read_disk(v, &items);
  return e < 0 ? e : read_parent(v, &items);
}
