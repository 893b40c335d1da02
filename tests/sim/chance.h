/* SPDX-License-Identifier: BSD-2-Clause */
/* chance.h: the simulator's dice.  The same seed gives the same throws.  One
 * thread. */
#ifndef SIM_CHANCE_H
#define SIM_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

void chance_seed(uint64_t seed);
uint64_t chance_random(void);
/* 0 .. n - 1 */
uint64_t chance_below(uint64_t n);
/* True once in n times; never for 0. */
bool chance_one_in(unsigned n);

#endif
