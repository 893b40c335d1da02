/* SPDX-License-Identifier: BSD-2-Clause */
/* zeros.h: which parts of what was read are zeros, that need not be written.
 * Pure. */
#ifndef TOOL_ZEROS_H
#define TOOL_ZEROS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool
zeros_all(const char *p, size_t len)
{
  return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* How long a stretch of buf, from its beginning on, is zeros or is none, in
 * whole grains but for the last one; sets *zeros. */
static inline size_t
zeros_stretch(const char *buf, size_t len, size_t grain, bool *zeros)
{
  size_t at = len < grain ? len : grain, n;

  *zeros = zeros_all(buf, at);
  for (; at < len; at += n) {
    n = len - at < grain ? len - at : grain;
    if (zeros_all(buf + at, n) != *zeros)
      break;
  }
  return at;
}

#endif
