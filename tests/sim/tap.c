/* SPDX-License-Identifier: BSD-2-Clause */
/* tap.c: see tap.h. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tap.h"

void
tap_case(struct tap *tap, bool good, const char *fmt, ...)
{
  va_list args;

  tap->n++;
  tap->failed += !good;
  printf("%s %u - ", good ? "ok" : "not ok", tap->n);
  va_start(args, fmt);
  vprintf(fmt, args);
  va_end(args);
  printf("\n");
  fflush(stdout);
}

int
tap_end(const struct tap *tap)
{
  printf("1..%u\n", tap->n);
  return tap->failed || tap->n == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
