/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fail: ending the process with a message. See fail.h.
 */

#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "fail.h"

_Noreturn void
fail(enum fail_status status, const char *format, ...)
{
  va_list ap;

  fputs("nbd-load: ", stderr);
  va_start(ap, format);
  vfprintf(stderr, format, ap);
  va_end(ap);
  fputc('\n', stderr);
  exit(status);
}

void *
xcalloc(unsigned long count, unsigned long size)
{
  void *p = calloc(count ? count : 1, size ? size : 1);

  if (!p)
    fail(FAIL_SYSTEM, "out of memory");
  return p;
}
