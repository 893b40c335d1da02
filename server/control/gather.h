/* SPDX-License-Identifier: BSD-2-Clause */
/* gather.h: a question that loops must answer, for what lives on a loop is its
 * thread's alone: a task to each of them, and each one's part back.
 *
 * A loop that does not answer in time is not waited for: a disk that hangs may
 * have stopped it.  Its part is thrown away when it comes.  Begun, and told, on
 * the main thread. */
#ifndef SERVER_CONTROL_GATHER_H
#define SERVER_CONTROL_GATHER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/loop.h"

struct event;
struct gather;
struct worker;
struct world;

/* What one loop has found. */
struct gather_part {
  struct task task;
  struct gather *gather;
  struct worker *worker;
  bool back;
  void *found; /* malloc()ed by .look, or NULL */
  size_t n;
};

/* Embedded first in what a verb keeps, which is malloc()ed and never moves. */
struct gather {
  void (*look)(struct gather_part *part); /* on the loop's thread */
  /* Once, when all have answered or it takes too long; .part[i].found counts
   * where .back says so. */
  void (*told)(struct gather *gather);
  /* Frees what n things that were found refer to; NULL: nothing. */
  void (*clear_part)(void *found, size_t n);
  /* Nothing refers to it any more. */
  void (*free)(struct gather *gather);
  struct loop *back; /* the main thread's */
  struct gather_part *part;
  unsigned nparts, nback;
  bool over;
  struct event *timer;
};

/* 0, or -ENOMEM: then it is still the caller's. */
int gather_begin(struct gather *gather, struct world *world);
/* Have all loops answered? */
bool gather_is_whole(const struct gather *gather);

#endif
