/* SPDX-License-Identifier: BSD-2-Clause */
/* locator.c: the 24 bytes of a parent locator <-> struct locator, and the path
 * behind it <-> a POSIX path.  Owns nothing; any thread. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/utf.h"
#include "format/locator.h"
#include "vhdkit.h"

struct locator_disk {
  struct be32 code;
  struct be32 space;
  struct be32 len;
  struct be32 reserved;
  struct be64 off;
};

_Static_assert(sizeof(struct locator_disk) == LOCATOR_SIZE,
               "size of a locator");
_Static_assert(offsetof(struct locator_disk, space) == 4, "layout");
_Static_assert(offsetof(struct locator_disk, len) == 8, "layout");
_Static_assert(offsetof(struct locator_disk, off) == 16, "layout");

void
locator_parse(const uint8_t *buf, struct locator *locator)
{
  struct locator_disk disk;
  memcpy(&disk, buf, sizeof disk);

  uint32_t space = be32_get(disk.space);
  /* Sectors by the specification; most programs write bytes, and no path
   * needs fewer than 512 of those or as many as 512 of these. */
  bool sectors = space > 0 && space < VHD_SECTOR_SIZE;
  *locator = (struct locator) {
    .code = be32_get(disk.code),
    .space = sectors ? space * VHD_SECTOR_SIZE : space,
    .sectors = sectors,
    .len = be32_get(disk.len),
    .off = be64_get(disk.off),
  };
}

int
locator_check(const struct locator *locator, const char **why)
{
  *why = NULL;
  if (locator->code == LOCATOR_NONE)
    return 0;
  if (locator->space % VHD_SECTOR_SIZE != 0)
    *why = "has a space that is no number of sectors";
  else if (locator->space > 0 && locator->len > locator->space)
    *why = "is longer than its space";
  else if (locator->len > LOCATOR_MAX_LEN)
    *why = "is too long";
  else if (locator->off > INT64_MAX / 2)
    *why = "lies beyond any file";
  return *why == NULL ? 0 : -EINVAL;
}

void
locator_format(const struct locator *locator, uint8_t *buf)
{
  uint32_t unit = locator->sectors ? VHD_SECTOR_SIZE : 1;
  struct locator_disk disk = {
    .code = be32_put(locator->code),
    .space = be32_put(locator->space / unit),
    .len = be32_put(locator->len),
    .off = be64_put(locator->off),
  };
  memcpy(buf, &disk, sizeof disk);
}

/* ---------------------------------------------------------------- decoding */

/* The decoders fill text with UTF-8 and return its length, or -errno. */

static long
decode_utf16(const uint8_t *data, size_t len, char *text, size_t size)
{
  if (len % 2 != 0 && data[--len] != 0)
    return -EINVAL;
  size_t end = 0;
  while (end < len && (data[end] != 0 || data[end + 1] != 0))
    end += 2;
  if (!bytes_all(data + end, len - end, 0))
    return -EINVAL;
  /* No UTF-16 is more than 3 bytes of UTF-8 a unit. */
  if (end / 2 * 3 >= size)
    return -ENAMETOOLONG;
  return (long)utf16_decode(data, end, false, text, size);
}

/* ANSI is whatever code page its writer had.  ASCII and UTF-8 are taken as
 * they are, other bytes as Latin-1: a guess wrong at worst finds no file. */
static long
decode_ansi(const uint8_t *data, size_t len, char *text, size_t size)
{
  size_t end = strnlen((const char *)data, len);
  if (!bytes_all(data + end, len - end, 0))
    return -EINVAL;
  bool utf8 = utf8_valid((const char *)data, end);

  size_t done = 0;
  for (size_t i = 0; i < end; i++) {
    if (done + 3 > size)
      return -ENAMETOOLONG;
    if (utf8 || data[i] < 0x80) {
      text[done++] = (char)data[i];
    } else {
      text[done++] = (char)(0xc0 | data[i] >> 6);
      text[done++] = (char)(0x80 | (data[i] & 0x3f));
    }
  }
  text[done] = '\0';
  return (long)done;
}

static int
hex_digit(unsigned char c)
{
  if (!isxdigit(c))
    return -1;
  return isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
}

static long
decode_url(const uint8_t *data, size_t len, char *text, size_t size)
{
  static const char scheme[] = "file://";
  const size_t scheme_len = sizeof scheme - 1;

  size_t end = strnlen((const char *)data, len);
  if (!bytes_all(data + end, len - end, 0))
    return -EINVAL;
  if (end >= scheme_len &&
      strncasecmp((const char *)data, scheme, scheme_len) == 0) {
    data += scheme_len;
    end -= scheme_len;
    /* A host goes up to the path's slash; "." and ".." are none, but the
     * start of libvhd's relative paths. */
    if (end > 0 && data[0] != '.') {
      const uint8_t *slash = memchr(data, '/', end);
      if (slash == NULL)
        return -ENOENT;
      end -= (size_t)(slash - data);
      data = slash;
    }
  }

  size_t done = 0;
  for (size_t i = 0; i < end; i++) {
    if (done + 1 >= size)
      return -ENAMETOOLONG;
    int high = -1, low = -1;
    if (data[i] == '%' && i + 2 < end) {
      high = hex_digit(data[i + 1]);
      low = hex_digit(data[i + 2]);
    }
    /* A stray '%' stands for itself: libvhd does not escape it. */
    if (high >= 0 && low >= 0) {
      text[done++] = (char)(high << 4 | low);
      i += 2;
    } else {
      text[done++] = (char)data[i];
    }
  }
  text[done] = '\0';
  return utf8_valid(text, done) ? (long)done : -EINVAL;
}

/* Windows' spelling to POSIX', in place: slashes, \\?\ and the drive. */
static void
drop_windows(char *path)
{
  for (char *p = path; *p != '\0'; p++)
    if (*p == '\\')
      *p = '/';

  char *p = path;
  if (strncmp(p, "//?/", 4) == 0 || strncmp(p, "//./", 4) == 0)
    p += 4;
  if (isalpha((unsigned char)p[0]) && p[1] == ':')
    p += 2;
  else if (p != path)
    p--; /* \\?\Volume{...}\x: keep it absolute */
  memmove(path, p, strlen(p) + 1);
}

int
locator_path(uint32_t code, const uint8_t *data, size_t len, char *path,
             size_t size, bool *relative)
{
  long n;
  switch (code) {
  case LOCATOR_W2RU:
  case LOCATOR_W2KU:
    n = decode_utf16(data, len, path, size);
    break;
  case LOCATOR_WI2R:
  case LOCATOR_WI2K:
    n = decode_ansi(data, len, path, size);
    break;
  case LOCATOR_MACX:
    n = decode_url(data, len, path, size);
    break;
  default:
    return -ENOENT;
  }
  if (n < 0)
    return (int)n;
  /* Also what the URL's %00 hid. */
  if ((size_t)n != strlen(path) || utf8_has_control(path, (size_t)n))
    return -EINVAL;
  if (code != LOCATOR_MACX)
    drop_windows(path);
  if (path[0] == '\0')
    return -ENOENT;
  *relative = path[0] != '/';
  return 0;
}

/* ---------------------------------------------------------------- encoding */

static long
encode_windows(const char *path, bool relative, uint8_t *data, size_t size)
{
  char text[LOCATOR_MAX_LEN];
  size_t len = strlen(path);
  if (len + 3 > sizeof text)
    return -ENAMETOOLONG;
  if (strchr(path, '\\') != NULL)
    return -EINVAL;

  bool dotted = strncmp(path, "./", 2) == 0 || strncmp(path, "../", 3) == 0;
  const char *prefix = relative && !dotted ? "./" : "";
  strcpy(stpcpy(text, prefix), path);
  for (char *p = text; *p != '\0'; p++)
    if (*p == '/')
      *p = '\\';
  return utf16_encode(text, false, data, size);
}

static long
encode_url(const char *path, uint8_t *data, size_t size)
{
  static const char plain[] = "-._~/!$&'()*+,;=:@";
  static const char hex[] = "0123456789ABCDEF";

  if (!utf8_valid(path, strlen(path)))
    return -EILSEQ;
  bool dotted = strncmp(path, "./", 2) == 0 || strncmp(path, "../", 3) == 0;
  const char *prefix = path[0] == '/' ? "file://localhost"
                       : dotted       ? "file://"
                                      : "file://./";
  size_t done = strlen(prefix);
  if (done > size)
    return -ENAMETOOLONG;
  memcpy(data, prefix, done);

  for (const char *p = path; *p != '\0'; p++) {
    unsigned char c = (unsigned char)*p;
    bool as_is = (c < 0x80 && isalnum(c)) || strchr(plain, c) != NULL;
    size_t n = as_is ? 1 : 3;
    if (n > size - done)
      return -ENAMETOOLONG;
    if (as_is) {
      data[done++] = c;
    } else {
      data[done++] = '%';
      data[done++] = (uint8_t)hex[c >> 4];
      data[done++] = (uint8_t)hex[c & 15];
    }
  }
  return (long)done;
}

long
locator_encode(uint32_t code, const char *path, uint8_t *data, size_t size)
{
  bool absolute = path[0] == '/';
  if (path[0] == '\0')
    return -EINVAL;
  switch (code) {
  case LOCATOR_W2RU:
    return absolute ? -EINVAL : encode_windows(path, true, data, size);
  case LOCATOR_W2KU:
    return absolute ? encode_windows(path, false, data, size) : -EINVAL;
  case LOCATOR_MACX:
    return encode_url(path, data, size);
  default:
    return -EINVAL;
  }
}
