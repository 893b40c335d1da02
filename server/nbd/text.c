/* SPDX-License-Identifier: BSD-2-Clause */
/* text.c: strings of the protocol.  See text.h. */
#include "config.h"

#include "nbd/text.h"

#include <stdint.h>
#include <string.h>

#include "nbd/protocol.h"

/* Length of the UTF-8 sequence at p, of which left (> 0) bytes are there; 0
 * if it is malformed (also: overlong, a surrogate, beyond U+10FFFF). */
static size_t
sequence(const unsigned char *p, size_t left)
{
  static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

  if (p[0] < 0x80)
    return 1;
  size_t n = p[0] < 0xc0   ? 0
             : p[0] < 0xe0 ? 2
             : p[0] < 0xf0 ? 3
             : p[0] < 0xf8 ? 4
                           : 0;
  if (n == 0 || n > left)
    return 0;
  uint32_t c = p[0] & (0x7fu >> n);
  for (size_t i = 1; i < n; i++) {
    if ((p[i] & 0xc0) != 0x80)
      return 0;
    c = c << 6 | (p[i] & 0x3f);
  }
  if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
    return 0;
  return n;
}

/* C0 (newlines too), DEL, and the C1 controls U+0080..U+009F. */
static bool
is_control(const unsigned char *p, size_t n)
{
  return (n == 1 && (p[0] < 0x20 || p[0] == 0x7f)) ||
         (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

bool
nbd_text_valid(const void *bytes, size_t len)
{
  const unsigned char *p = bytes;

  if (len > NBD_MAX_STRING)
    return false;
  for (size_t i = 0; i < len;) {
    size_t n = sequence(p + i, len - i);
    if (n == 0 || p[i] == 0)
      return false;
    i += n;
  }
  return true;
}

size_t
nbd_text_cut(const char *text, size_t len, size_t max)
{
  if (len <= max)
    return len;
  while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
    max--;
  return max;
}

size_t
nbd_text_clean(char *to, size_t size, const char *text)
{
  size_t len = strlen(text);
  size_t out = 0;

  for (size_t i = 0; i < len;) {
    const unsigned char *p = (const unsigned char *)text + i;
    size_t n = sequence(p, len - i);
    bool bad = n == 0 || is_control(p, n);
    size_t add = bad ? 1 : n;
    if (add > size - 1 - out)
      break;
    if (bad)
      to[out] = '?';
    else
      memcpy(to + out, p, n);
    out += add;
    i += n ? n : 1;
  }
  to[out] = '\0';
  return out;
}

const char *
nbd_text_echo(char *to, const char *name)
{
  size_t len = strlen(name);
  size_t keep = nbd_text_cut(name, len, NBD_ECHO_MAX);
  char kept[NBD_ECHO_MAX + 1];

  memcpy(kept, name, keep);
  kept[keep] = '\0';
  /* Cleaning never lengthens. */
  size_t n = nbd_text_clean(to, NBD_ECHO_MAX + 1, kept);
  if (keep < len)
    strcpy(to + n, "...");
  return to;
}
