/* SPDX-License-Identifier: BSD-2-Clause */
/* turns.h: pieces of work that take long, for newcomers, on a loop that serves
 * others: one piece a turn of the loop, behind all that its events have
 * brought, and a fifth of the loop's time while others have something done.
 * In the order in which they came.  Of the loop's own thread. */
#ifndef SERVER_BASE_TURNS_H
#define SERVER_BASE_TURNS_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct loop;

/* Embedded in what it concerns. */
struct turn {
  TAILQ_ENTRY(turn) link;
  void (*run)(struct turn *turn);
  bool waits;
};

struct turns {
  TAILQ_HEAD(turn_queue, turn) queue;
  struct loop *loop;
  struct event next;
  uint64_t rest_ns; /* until then others come first, */
  bool served;      /* if they had something done since the last piece */
};

void turns_init(struct turns *turns, struct loop *loop);
/* Nobody waits. */
void turns_clear(struct turns *turns);

/* Runs the turn when it has come; it must not wait already. */
void turns_wait(struct turns *turns, struct turn *turn);
/* It is not run any more, if it waits. */
void turns_leave(struct turns *turns, struct turn *turn);

/* Somebody who is served has something done. */
static inline void
turns_note_served(struct turns *turns)
{
  turns->served = true;
}

#endif
