/* SPDX-License-Identifier: BSD-2-Clause */
/* calls.h: between the folder (world.c) and the calls that come to it
 * (calls.c).  One thread. */
#ifndef INPLACE_CALLS_H
#define INPLACE_CALLS_H

#include "world.h"

struct calls {
  bool on;
  struct log *log;
  dev_t dev;
  ino_t folder;
  ino_t file[STATE_FILES]; /* by their numbers in the run's states */
  int nfile;
  bool no_nameless;
};

extern struct calls calls;

/* Begins to count, and to look for what is planned. */
void calls_begin(void);

#endif
