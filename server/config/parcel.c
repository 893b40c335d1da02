/* SPDX-License-Identifier: BSD-2-Clause */
/* parcel.c: see parcel.h.  For each export a byte of flags and its strings,
 * each with its end. */
#include "config.h"

#include "config/parcel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/command_line_exports.h"

enum {
  HAS_NAME = 1,
  HAS_DESCRIPTION = 2,
  TLS_ONLY = 4,
  READONLY = 8,
  RAW = 16,
};

static void
write_string(FILE *file, const char *text)
{
  if (text)
    fwrite(text, 1, strlen(text) + 1, file);
}

static void
write_export(FILE *file, const struct options_export *export)
{
  fputc((export->name ? HAS_NAME : 0) |
          (export->description ? HAS_DESCRIPTION : 0) |
          (export->tls_only ? TLS_ONLY : 0) |
          (export->readonly ? READONLY : 0) | (export->raw ? RAW : 0),
        file);
  write_string(file, export->path);
  write_string(file, export->name);
  write_string(file, export->description);
}

int
parcel_pack(const struct options *opt)
{
  const int fd = memfd_create("vhdkitd-exports", MFD_CLOEXEC);
  const int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
  FILE *file = copy < 0 ? NULL : fdopen(copy, "w");
  int r = 0;

  if (file) {
    for (size_t i = 0; i < opt->nexports; i++)
      write_export(file, &opt->exports[i]);
    r = ferror(file) ? -EIO : 0;
    if (fclose(file) != 0 && r == 0)
      r = -errno;
  } else {
    r = -errno;
    if (copy >= 0)
      close(copy);
  }
  if (r == 0)
    return fd;
  if (fd >= 0)
    close(fd);
  return r;
}

/* What is left of it. */
struct rest {
  const char *at, *end;
};

/* NULL: it has no end. */
static const char *
take_string(struct rest *rest)
{
  const char *text = rest->at;
  const char *end = memchr(text, '\0', (size_t)(rest->end - text));

  rest->at = end ? end + 1 : rest->end;
  return end ? text : NULL;
}

static int
take_export(struct rest *rest, struct options *opt)
{
  char message[256];
  struct complaint complaint = { message, sizeof message };
  const int flags = (unsigned char)*rest->at++;
  const char *name = NULL;
  struct options_export export = {
    .path = take_string(rest),
    .tls_only = flags & TLS_ONLY,
    .readonly = flags & READONLY,
    .raw = flags & RAW,
  };

  if (flags & HAS_NAME)
    name = take_string(rest);
  if (flags & HAS_DESCRIPTION)
    export.description = take_string(rest);
  if (!export.path || (flags & HAS_NAME && !name) ||
      (flags & HAS_DESCRIPTION && !export.description))
    return -EBADMSG;
  return options_append_export(opt, &export, name, &complaint) < 0 ? -EBADMSG
                                                                   : 0;
}

static int
read_all(int fd, char **bytes, size_t *n)
{
  struct stat st;

  if (fstat(fd, &st) < 0)
    return -errno;
  *n = (size_t)st.st_size;
  *bytes = malloc(*n + 1);
  if (!*bytes)
    return -ENOMEM;
  for (size_t done = 0; done < *n;) {
    const ssize_t got = pread(fd, *bytes + done, *n - done, (off_t)done);
    if (got <= 0) {
      free(*bytes);
      return got < 0 ? -errno : -EBADMSG;
    }
    done += (size_t)got;
  }
  return 0;
}

int
parcel_unpack(int fd, struct options *opt)
{
  char *bytes = NULL;
  size_t n = 0;

  *opt = (struct options){ .fd = -1 };
  int r = read_all(fd, &bytes, &n);
  close(fd);
  if (r == 0)
    r = options_own(opt, bytes);
  struct rest rest = { bytes, bytes + n };
  while (r == 0 && rest.at < rest.end)
    r = take_export(&rest, opt);
  return r;
}
