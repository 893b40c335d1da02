/* SPDX-License-Identifier: BSD-2-Clause */
/* text.h: strings that may be missing.  Pure. */
#ifndef SERVER_BASE_TEXT_H
#define SERVER_BASE_TEXT_H

#include <stdbool.h>
#include <string.h>

/* NULL is as NULL alone. */
static inline bool
text_same(const char *a, const char *b)
{
  return a == b || (a && b && strcmp(a, b) == 0);
}

#endif
