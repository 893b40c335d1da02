/* SPDX-License-Identifier: BSD-2-Clause */
/* parent_ref.c: see parent_ref.h. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/utf.h"
#include "format/footer.h"
#include "image/parent_time.h"
#include "ops/parent_ref.h"
#include "store/lookup.h"
#include "store/newfile.h"

static const char *
skip_dot(const char *path)
{
  return strncmp(path, "./", 2) == 0 ? path + 2 : path;
}

/* Encodes one path and makes sure that it is read back as it was: a name with
 * a backslash or a control character would not be. */
static int
record_path(struct parent_path *out, uint32_t code, const char *path,
            struct vhd_error *err)
{
  char back[PATH_MAX * 2];
  bool relative;

  long n = locator_encode(code, path, out->data, sizeof out->data);
  int r = n < 0 ? (int)n
                : locator_path(code, out->data, (size_t)n, back, sizeof back,
                               &relative);
  if (r < 0 || strcmp(skip_dot(back), skip_dot(path)) != 0)
    return vhd_fail(err, VHD_LOCATOR, EINVAL,
                    "%s: this path of the parent cannot be recorded in a VHD "
                    "(it must be UTF-8 of at most %d characters, without "
                    "backslashes and control characters): move or rename it",
                    path, LOCATOR_MAX_LEN / 2);
  out->code = code;
  out->len = (uint32_t)n;
  out->space = (uint32_t)round_up((uint64_t)n, VHD_SECTOR_SIZE);
  return 0;
}

static int
record_name(struct parent_ref *ref, const char *real, struct vhd_error *err)
{
  const char *name = strrchr(real, '/') + 1;

  if (utf16_encode(name, true, ref->name, sizeof ref->name) < 0)
    return vhd_fail(err, VHD_LOCATOR, EINVAL,
                    "%s: the parent's name is not UTF-8, or too long, and "
                    "cannot be recorded in a VHD: rename it", real);
  return 0;
}

int
parent_ref_check(const char *parent, const struct vhd_info *info,
                 struct vhd_error *err)
{
  return info->format == VHD_FORMAT_VHD
           ? 0 : vhd_fail(err, VHD_ARGUMENT, EINVAL,
                          "%s: a VHDX image can be no parent of a VHD",
                          parent);
}

int
parent_ref_make(struct parent_ref *ref, const char *child, const char *parent,
                const struct vhd_info *info, unsigned ways,
                struct vhd_error *err)
{
  char real[PATH_MAX], way[PATH_MAX * 2];
  int64_t mtime;

  int r = parent_ref_check(parent, info, err);
  if (r < 0)
    return r;
  memcpy(ref->id, info->id, sizeof ref->id);
  r = lookup_real(parent, real, &mtime);
  if (r < 0)
    return vhd_fail_sys(err, -r, "%s", parent);
  ref->timestamp = parent_time_record(mtime);
  r = record_name(ref, real, err);
  if (r == 0)
    r = record_path(&ref->path[0], LOCATOR_W2KU, real, err);
  if (r < 0 || ways == 0)
    return r;

  r = lookup_way(child, real, way, sizeof way);
  if (r < 0)
    return vhd_fail_sys(err, -r, "%s: cannot find the way from its folder to "
                        "'%s'", child, real);
  if (ways & REF_RELATIVE)
    r = record_path(&ref->path[1], LOCATOR_W2RU, way, err);
  if (r == 0 && ways & REF_URL)
    r = record_path(&ref->path[2], LOCATOR_MACX, way, err);
  return r;
}

uint64_t
parent_ref_place(struct parent_ref *ref, uint64_t off)
{
  for (unsigned i = 0; i < PARENT_REF_PATHS; i++) {
    ref->path[i].off = off;
    off += ref->path[i].space;
  }
  return off;
}

void
parent_ref_name(const struct parent_ref *ref, struct header *header)
{
  memcpy(header->parent_id, ref->id, sizeof header->parent_id);
  memcpy(header->parent_name, ref->name, sizeof header->parent_name);
  header->parent_timestamp = ref->timestamp;
}

void
parent_ref_describe(const struct parent_ref *ref, struct header *header)
{
  parent_ref_name(ref, header);
  for (unsigned i = 0; i < PARENT_REF_PATHS; i++)
    if (ref->path[i].code != LOCATOR_NONE)
      header->locator[i] = (struct locator){
        .code = ref->path[i].code,
        .space = ref->path[i].space,
        .len = ref->path[i].len,
        .off = ref->path[i].off,
      };
}

int
parent_ref_write(const struct parent_ref *ref, struct newfile *file,
                 struct vhd_error *err)
{
  for (unsigned i = 0; i < PARENT_REF_PATHS; i++) {
    const struct parent_path *path = &ref->path[i];
    if (path->code == LOCATOR_NONE)
      continue;
    int r = newfile_write(file, path->data, path->len, path->off, err);
    if (r < 0)
      return r;
  }
  return 0;
}
