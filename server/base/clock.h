/* SPDX-License-Identifier: BSD-2-Clause */
/* clock.h: time for measuring how long something takes. */
#ifndef SERVER_BASE_CLOCK_H
#define SERVER_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds, monotonic. */
static inline uint64_t
clock_ns(void)
{
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* So long from now, for what waits by that clock. */
static inline struct timespec
clock_from_now(unsigned msec)
{
  const uint64_t ns = clock_ns() + (uint64_t)msec * 1000000;

  return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000),
                            .tv_nsec = (long)(ns % 1000000000) };
}

#endif
