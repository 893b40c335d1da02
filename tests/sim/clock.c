/* SPDX-License-Identifier: BSD-2-Clause */
/* clock.c: see clock.h. */
#include "config.h"

#include <time.h>

#include "clock.h"

#define MOMENT 100000

static int64_t now = 1700000000 * SECOND;

int64_t
clock_now(void)
{
  return now += MOMENT;
}

void
clock_set(int64_t time)
{
  now = time;
}

/* Instead of the C library's. */
int
clock_gettime(clockid_t id, struct timespec *t)
{
  (void)id;
  int64_t at = clock_now();
  t->tv_sec = at / SECOND;
  t->tv_nsec = at % SECOND;
  return 0;
}
