/* SPDX-License-Identifier: BSD-2-Clause */
/* error.c: filling a struct vhd_error, and the names of its codes.  Owns
 * nothing; any thread. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/utf.h"

static const struct {
  int code;
  const char *name;
} code_names[] = {
  { VHD_OK, "ok" },
  { VHD_FOOTER_MISSING, "footer-missing" },
  { VHD_FOOTER_CHECKSUM, "footer-checksum" },
  { VHD_FOOTER_CORRUPT, "footer-corrupt" },
  { VHD_FORMAT_UNKNOWN, "format-unknown" },
  { VHD_FORMAT_VERSION, "format-version" },
  { VHD_HEADER_CHECKSUM, "header-checksum" },
  { VHD_HEADER_VERSION, "header-version" },
  { VHD_HEADER_CORRUPT, "header-corrupt" },
  { VHD_ALLOCATION_FAILED, "allocation-failed" },
  { VHD_BAT_CORRUPT, "bat-corrupt" },
  { VHD_BLOCK_SIZE, "block-size" },
  { VHD_BITMAP_MISMATCH, "bitmap-mismatch" },
  { VHD_PARENT_MISSING, "parent-missing" },
  { VHD_PARENT_ID, "parent-id" },
  { VHD_PARENT_TIMESTAMP, "parent-timestamp" },
  { VHD_METADATA_READ, "metadata-read" },
  { VHD_METADATA_WRITE, "metadata-write" },
  { VHD_SIZE, "size" },
  { VHD_FILE_SIZE, "file-size" },
  { VHD_PARENT_DENIED, "parent-denied" },
  { VHD_PARENT_SIZE, "parent-size" },
  { VHD_CHAIN_CYCLE, "chain-cycle" },
  { VHD_CHAIN_PARENT, "chain-parent" },
  { VHD_LIMIT, "limit" },
  { VHD_TYPE, "type" },
  { VHD_STATE, "state" },
  { VHD_SYSTEM, "system" },
  { VHD_BUSY, "busy" },
  { VHD_READ_ONLY, "read-only" },
  { VHD_ARGUMENT, "argument" },
  { VHD_LOCATOR, "locator" },
  { VHD_BATMAP, "batmap" },
  { VHD_LEAK, "leak" },
  { VHD_JOURNAL, "journal" },
  { VHD_CANCELED, "canceled" },
};

const char *
vhd_code_name(int code)
{
  for (size_t i = 0; i < sizeof code_names / sizeof code_names[0]; i++)
    if (code_names[i].code == code)
      return code_names[i].name;
  return "unknown";
}

static int fail(struct vhd_error *err, int code, int errnum,
                const char *suffix, const char *fmt, va_list args)
  __attribute__((format(printf, 5, 0)));

static int
fail(struct vhd_error *err, int code, int errnum, const char *suffix,
     const char *fmt, va_list args)
{
  assert(errnum > 0);
  if (err == NULL)
    return -errnum;

  /* Formatted apart: an argument may lie in *err itself, as when a parent's
   * message becomes part of its child's. */
  char text[sizeof err->message];
  vsnprintf(text, sizeof text, fmt, args);
  size_t len = strlen(text);
  if (suffix != NULL)
    snprintf(text + len, sizeof text - len, ": %s", suffix);

  err->code = code;
  err->sys = errnum;
  memcpy(err->message, text, sizeof text);
  memset(err->reserved, 0, sizeof err->reserved);
  utf8_make_printable(err->message);
  return -errnum;
}

int
vhd_fail(struct vhd_error *err, int code, int errnum, const char *fmt, ...)
{
  va_list args;
  va_start(args, fmt);
  int r = fail(err, code, errnum, NULL, fmt, args);
  va_end(args);
  return r;
}

int
vhd_fail_sys(struct vhd_error *err, int errnum, const char *fmt, ...)
{
  const char *text = strerrordesc_np(errnum);
  va_list args;
  va_start(args, fmt);
  int r = fail(err, VHD_SYSTEM, errnum, text ? text : "unknown error", fmt,
               args);
  va_end(args);
  return r;
}

int
vhd_check_flags(uint32_t flags, uint32_t known, const char *path,
                struct vhd_error *err)
{
  if ((flags & ~known) == 0)
    return 0;
  return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                  "%s: the flags 0x%x are unknown to this version", path,
                  (unsigned)(flags & ~known));
}

int
vhd_check_room(const uint64_t *room, size_t n, const char *path,
               struct vhd_error *err)
{
  for (size_t i = 0; i < n; i++)
    if (room[i] != 0)
      return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                      "%s: the options hold something that is unknown to this "
                      "version, or were not cleared", path);
  return 0;
}
