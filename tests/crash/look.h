/* SPDX-License-Identifier: BSD-2-Clause */
/* look.h: opening what a power cut left with libvhdkit, as any program would,
 * and comparing the whole disk with what it may hold.  One thread. */
#ifndef CRASH_LOOK_H
#define CRASH_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "disk.h"

struct look {
  const struct disk *disk;
  uint64_t at;         /* when the power went */
  const char *path;    /* the image */
  const char *journal; /* where its journals go: none is there */
  bool whole;          /* its host has seen to it that its end is written */
  bool garbage;        /* the host may show old bytes of its disk */
  uint64_t random;     /* seed of what is written */
  const char *when;
  char fault[400];     /* the answer: "" or what is wrong */
};

/* Opens it read-only and compares. */
void look_reading(struct look *l);
/* Has it checked, opens it, compares, writes here and there, compares again,
 * closes it, and has it checked again. */
void look_writing(struct look *l);
/* The old bytes of a host's disk. */
#define GARBAGE 0xa5

#endif
