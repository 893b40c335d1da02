/* SPDX-License-Identifier: BSD-2-Clause */
/* clock.h: the time in the simulator's world.  It stands in for the system's,
 * for the library too: a moment passes whenever somebody asks, and otherwise
 * only when it is set.  One thread. */
#ifndef SIM_CLOCK_H
#define SIM_CLOCK_H

#include <stdint.h>

#define SECOND 1000000000LL

/* Nanoseconds since 1970. */
int64_t clock_now(void);
/* Later, or back to where it was. */
void clock_set(int64_t time);

#endif
