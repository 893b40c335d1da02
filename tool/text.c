/* SPDX-License-Identifier: BSD-2-Clause */
/* text.c: see text.h. */
#include "config.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text.h"

/* The length of the well-formed UTF-8 character at s, its code in *code; 0
 * where there is none. */
static size_t
utf8_char(const unsigned char *s, uint32_t *code)
{
  static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
  size_t len;

  if (s[0] < 0x80) {
    *code = s[0];
    return 1;
  }
  if (s[0] >= 0xc2 && s[0] < 0xe0) {
    len = 2;
    *code = s[0] & 0x1f;
  } else if (s[0] >= 0xe0 && s[0] < 0xf0) {
    len = 3;
    *code = s[0] & 0x0f;
  } else if (s[0] >= 0xf0 && s[0] < 0xf5) {
    len = 4;
    *code = s[0] & 0x07;
  } else {
    return 0;
  }
  for (size_t i = 1; i < len; i++) {
    if ((s[i] & 0xc0) != 0x80)
      return 0;
    *code = *code << 6 | (s[i] & 0x3f);
  }
  if (*code < least[len] || *code > 0x10ffff ||
      (*code >= 0xd800 && *code < 0xe000))
    return 0;
  return len;
}

static bool
is_dangerous(uint32_t code)
{
  return code < 0x20 || (code >= 0x7f && code < 0xa0) ||
         (code >= 0x200e && code <= 0x200f) || /* marks of direction */
         (code >= 0x2028 && code <= 0x202e) || /* line ends, embeddings */
         (code >= 0x2066 && code <= 0x2069);   /* isolates */
}

void
text_sanitize(char *text)
{
  unsigned char *in = (unsigned char *)text;
  unsigned char *out = in;

  while (*in != '\0') {
    uint32_t code;
    size_t len = utf8_char(in, &code);
    if (len == 0 || is_dangerous(code)) {
      *out++ = '?';
      in += len == 0 ? 1 : len;
      continue;
    }
    memmove(out, in, len);
    in += len;
    out += len;
  }
  *out = '\0';
}

char *
text_safe(const char *text)
{
  char *copy = strdup(text);

  if (copy == NULL)
    abort();
  text_sanitize(copy);
  return copy;
}

char *
text_size(uint64_t bytes, char *buf)
{
  static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB",
                                      "EiB" };
  unsigned u = 0;
  uint64_t scale = 1;

  while (u < 6 && bytes / scale >= 1024) {
    scale *= 1024;
    u++;
  }
  if (bytes % scale == 0)
    snprintf(buf, TEXT_SIZE, "%" PRIu64 " %s", bytes / scale, unit[u]);
  else
    snprintf(buf, TEXT_SIZE, "%.1f %s", (double)bytes / (double)scale,
             unit[u]);
  return buf;
}

void
text_print_size(const char *label, uint64_t bytes)
{
  char text[TEXT_SIZE];

  printf("%-16s%s (%" PRIu64 " bytes)\n", label, text_size(bytes, text),
         bytes);
}

static bool
utc(int64_t seconds, struct tm *tm)
{
  time_t t = (time_t)seconds;

  return gmtime_r(&t, tm) != NULL;
}

char *
text_time(int64_t seconds, char *buf)
{
  struct tm tm;

  if (!utc(seconds, &tm) ||
      strftime(buf, TEXT_SIZE, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
    snprintf(buf, TEXT_SIZE, "%" PRId64, seconds);
  return buf;
}

char *
text_iso_time(int64_t seconds, char *buf)
{
  struct tm tm;

  if (!utc(seconds, &tm) ||
      strftime(buf, TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
    snprintf(buf, TEXT_SIZE, "%" PRId64, seconds);
  return buf;
}

char *
text_duration(int64_t seconds, char *buf)
{
  const int64_t minutes = seconds / 60;

  if (minutes >= 60)
    snprintf(buf, TEXT_SIZE, "%" PRId64 " h %" PRId64 " min", minutes / 60,
             minutes % 60);
  else if (minutes > 0)
    snprintf(buf, TEXT_SIZE, "%" PRId64 " min %" PRId64 " s", minutes,
             seconds % 60);
  else
    snprintf(buf, TEXT_SIZE, "%" PRId64 " s", seconds);
  return buf;
}
