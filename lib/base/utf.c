/* SPDX-License-Identifier: BSD-2-Clause */
/* utf.c: UTF-16 and UTF-8.  Owns nothing; any thread. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/utf.h"

#define REPLACEMENT 0xfffd

static bool
is_high_surrogate(uint32_t c)
{
  return c >= 0xd800 && c <= 0xdbff;
}

static bool
is_low_surrogate(uint32_t c)
{
  return c >= 0xdc00 && c <= 0xdfff;
}

static bool
is_control(uint32_t c)
{
  return c < 0x20 || (c >= 0x7f && c <= 0x9f);
}

/* Writes one character; returns its bytes, 1 to 4. */
static size_t
utf8_put(uint32_t c, char *out)
{
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  if (c < 0x800) {
    out[0] = (char)(0xc0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3f));
    return 2;
  }
  if (c < 0x10000) {
    out[0] = (char)(0xe0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3f));
    out[2] = (char)(0x80 | (c & 0x3f));
    return 3;
  }
  out[0] = (char)(0xf0 | c >> 18);
  out[1] = (char)(0x80 | (c >> 12 & 0x3f));
  out[2] = (char)(0x80 | (c >> 6 & 0x3f));
  out[3] = (char)(0x80 | (c & 0x3f));
  return 4;
}

/* Reads one character of at most len bytes, len > 0.  Returns its bytes, or 0
 * where none that is well-formed begins. */
static size_t
utf8_get(const char *s, size_t len, uint32_t *c)
{
  static const struct {
    uint8_t mask, lead;
    uint32_t least;
  } form[] = {
    { 0x80, 0x00, 0 },
    { 0xe0, 0xc0, 0x80 },
    { 0xf0, 0xe0, 0x800 },
    { 0xf8, 0xf0, 0x10000 },
  };
  uint8_t lead = (uint8_t)s[0];

  for (size_t n = 1; n <= 4 && n <= len; n++) {
    if ((lead & form[n - 1].mask) != form[n - 1].lead)
      continue;
    uint32_t v = lead & ~form[n - 1].mask & 0xff;
    for (size_t i = 1; i < n; i++) {
      if (((uint8_t)s[i] & 0xc0) != 0x80)
        return 0;
      v = v << 6 | ((uint8_t)s[i] & 0x3f);
    }
    if (v < form[n - 1].least || v > 0x10ffff || is_high_surrogate(v) ||
        is_low_surrogate(v))
      return 0;
    *c = v;
    return n;
  }
  return 0;
}

static uint32_t
utf16_unit(const uint8_t *in, bool big_endian)
{
  return big_endian ? (uint32_t)in[0] << 8 | in[1]
                    : (uint32_t)in[1] << 8 | in[0];
}

size_t
utf16_decode(const uint8_t *in, size_t len, bool big_endian, char *out,
             size_t size)
{
  assert(size > 0);
  size_t done = 0;

  for (size_t i = 0; i + 2 <= len; i += 2) {
    uint32_t c = utf16_unit(in + i, big_endian);
    if (c == 0)
      break;
    if (is_high_surrogate(c)) {
      uint32_t low = i + 4 <= len ? utf16_unit(in + i + 2, big_endian) : 0;
      if (is_low_surrogate(low)) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        i += 2;
      } else {
        c = REPLACEMENT;
      }
    } else if (is_low_surrogate(c)) {
      c = REPLACEMENT;
    }

    char text[4];
    size_t n = utf8_put(c, text);
    if (n > size - 1 - done)
      break;
    memcpy(out + done, text, n);
    done += n;
  }
  out[done] = '\0';
  return done;
}

static void
utf16_put(uint32_t unit, bool big_endian, uint8_t *out)
{
  out[big_endian ? 0 : 1] = (uint8_t)(unit >> 8);
  out[big_endian ? 1 : 0] = (uint8_t)unit;
}

long
utf16_encode(const char *in, bool big_endian, uint8_t *out, size_t size)
{
  size_t len = strlen(in);
  size_t done = 0;

  while (len > 0) {
    uint32_t c;
    size_t n = utf8_get(in, len, &c);
    if (n == 0)
      return -EILSEQ;
    in += n;
    len -= n;

    size_t bytes = c < 0x10000 ? 2 : 4;
    if (bytes > size - done)
      return -ENAMETOOLONG;
    if (bytes == 4) {
      c -= 0x10000;
      utf16_put(0xd800 | c >> 10, big_endian, out + done);
      utf16_put(0xdc00 | (c & 0x3ff), big_endian, out + done + 2);
    } else {
      utf16_put(c, big_endian, out + done);
    }
    done += bytes;
  }
  return (long)done;
}

bool
utf8_valid(const char *s, size_t len)
{
  while (len > 0) {
    uint32_t c;
    size_t n = utf8_get(s, len, &c);
    if (n == 0)
      return false;
    s += n;
    len -= n;
  }
  return true;
}

bool
utf8_has_control(const char *s, size_t len)
{
  while (len > 0) {
    uint32_t c;
    size_t n = utf8_get(s, len, &c);
    if (n == 0 || is_control(c))
      return true;
    s += n;
    len -= n;
  }
  return false;
}

void
utf8_make_printable(char *s)
{
  char *out = s;
  size_t len = strlen(s);

  while (len > 0) {
    uint32_t c;
    size_t n = utf8_get(s, len, &c);
    if (n == 0 || is_control(c)) {
      *out++ = '?';
      n = n == 0 ? 1 : n;
    } else {
      memmove(out, s, n);
      out += n;
    }
    s += n;
    len -= n;
  }
  *out = '\0';
}
