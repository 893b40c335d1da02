/* SPDX-License-Identifier: BSD-2-Clause */
/* tap.h: cases that passed or failed, told as TAP as soon as they are known.
 * One thread. */
#ifndef SIM_TAP_H
#define SIM_TAP_H

#include <stdbool.h>

struct tap {
  unsigned n, failed;
};

/* One case, and what it was about. */
void tap_case(struct tap *tap, bool good, const char *fmt, ...)
  __attribute__((format(printf, 3, 4)));

/* There are no more.  Returns the process's exit status: a failure, too, where
 * there was none at all. */
int tap_end(const struct tap *tap);

#endif
