/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_format.c: telling a VHDX file from a VHD.  Blocks; any thread.
 *
 * A VHDX begins with its signature, where a fixed VHD has what its guest wrote;
 * a VHD ends in a footer, where a VHDX may have what its guest wrote. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "image/layout_vhdx.h"

/* Does the file end in a valid footer of a VHD? */
static int
has_footer(struct vhd_file *file, uint64_t size, bool *has)
{
  static const unsigned lengths[] = { FOOTER_SIZE, FOOTER_SIZE_OLD };
  struct footer footer;

  *has = false;
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    uint8_t buf[FOOTER_SIZE] = { 0 };
    if (size < lengths[i])
      continue;
    int e = file_read(file, buf, lengths[i], size - lengths[i]);
    if (e < 0)
      return e;
    *has |= footer_parse(buf, file->path, "", &footer, NULL) == 0;
  }
  return 0;
}

static bool
is_named(const char *path, const char *ending)
{
  const char *dot = strrchr(path, '.');

  return dot && (strcasecmp(dot + 1, ending) == 0 ||
                 (tolower((unsigned char)dot[1]) == 'a' &&
                  strcasecmp(dot + 2, ending) == 0));
}

bool
layout_named_vhd(const char *path)
{
  return is_named(path, "vhd");
}

bool
layout_named_vhdx(const char *path)
{
  return is_named(path, "vhdx");
}

int
layout_format(struct vhd_file *file, enum vhd_format *format,
              struct vhd_error *err)
{
  uint8_t buf[VHDX_SIGNATURE_SIZE];
  uint64_t size;
  bool footer = false;

  *format = VHD_FORMAT_VHD;
  int e = file_size(file, &size);
  if (e == 0 && size >= sizeof buf)
    e = file_read(file, buf, sizeof buf, 0);
  if (e == 0 && (size < sizeof buf || !vhdx_has_signature(buf)))
    return 0;
  if (e == 0)
    e = has_footer(file, size, &footer);
  if (e < 0)
    return vhd_fail_sys(err, -e, "%s: cannot tell what it is", file->path);
  if (footer && layout_named_vhd(file->path))
    return 0;
  if (footer && !layout_named_vhdx(file->path))
    return vhd_fail(err, VHD_FORMAT_UNKNOWN, EINVAL,
                    "%s: it begins as a VHDX and ends as a VHD, of which one "
                    "is what a guest wrote to its disk; give it a name that "
                    "ends in .vhdx or .vhd, as it is", file->path);
  *format = VHD_FORMAT_VHDX;
  return 0;
}
