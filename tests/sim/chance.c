/* SPDX-License-Identifier: BSD-2-Clause */
/* chance.c: see chance.h. */
#include "config.h"

#include "chance.h"

static uint64_t state;

void
chance_seed(uint64_t seed)
{
  state = seed * 0x2545f4914f6cdd1dULL + 1;
}

uint64_t
chance_random(void)
{
  uint64_t z = state += 0x9e3779b97f4a7c15ULL;

  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
  return z ^ z >> 31;
}

uint64_t
chance_below(uint64_t n)
{
  return chance_random() % n;
}

bool
chance_one_in(unsigned n)
{
  return n != 0 && chance_below(n) == 0;
}
