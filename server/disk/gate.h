/* SPDX-License-Identifier: BSD-2-Clause */
/* gate.h: the gate of an open image: who uses the image comes in by it, and
 * whoever closes it has the image to himself until he opens it again.
 *
 *   open -gate_close()-> closing -all are out-> closed -gate_open()-> open
 *                           +--too late--> open    +-gate_break()-> broken
 *
 *  1. A user is of one loop, mostly a client.  What it begins and ends within
 *     one call of its loop needs no word: the gate comes to a user as a task of
 *     its loop, and so finds it between two calls.
 *  2. What goes on beyond that is counted, by the loop's own thread, without
 *     atomics: gate_begin(), gate_end().
 *  3. From the task that finds the gate closed to the one that finds it open
 *     again the user is .held: it begins nothing.  What it has begun, it ends.
 *     No loop waits for anything: what a client asks for meanwhile stays where
 *     it is, and the loop serves others.
 *  4. A thread of the image's own comes in by gate_enter(), which waits.
 *  5. Who has closed the gate may put another image of the same disk in the
 *     place of the former: nobody sees either, and all see the new one after.
 *
 * The gate does not know the image.  .lock is held over no I/O. */
#ifndef SERVER_DISK_GATE_H
#define SERVER_DISK_GATE_H

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "base/loop.h"

struct gate_user {
  TAILQ_ENTRY(gate_user) link;
  struct gate *gate; /* NULL: it has not come to one yet */
  struct loop *loop;
  /* Of the loop's thread: */
  unsigned inside; /* operations that have begun and not ended */
  bool held;
  bool broken; /* for ever: the image is not there any more */
  void (*turned)(struct gate_user *user); /* these two may have changed */
  /* Under the gate's lock: */
  bool quiet;  /* held, and nothing inside, since the gate was closed */
  bool posted; /* .turn is */
  bool left;
  struct task turn;
};

struct gate {
  pthread_mutex_t lock;
  pthread_cond_t changed; /* monotonic */
  TAILQ_HEAD(gate_users, gate_user) users;
  bool closed;
  bool broken;      /* and closed */
  unsigned loud;    /* of the users: not quiet yet, where it is closed */
  unsigned threads; /* that are inside */
};

void gate_init(struct gate *gate);
/* Nobody uses it. */
void gate_destroy(struct gate *gate);

/* ----------------------------------------------------- on the loop's thread */

/* It may use the image from now on, unless it is .held at once. */
void gate_join(struct gate *gate, struct gate_user *user, struct loop *loop,
               void (*turned)(struct gate_user *user));
/* It has nothing inside, and will not use it any more.  False: .turn is posted,
 * so it must live until .turned() has been called, and call this again. */
bool gate_leave(struct gate_user *user);

/* Nothing is inside of a user that is held. */
void gate_tell_quiet(struct gate_user *user);

/* An operation goes on after this call of the loop. */
static inline void
gate_begin(struct gate_user *user)
{
  assert(!user->held);
  user->inside++;
}

static inline void
gate_end(struct gate_user *user)
{
  assert(user->inside > 0);
  if (--user->inside == 0 && user->held)
    gate_tell_quiet(user);
}

/* --------------------------------------------------------- on other threads */

/* Waits until the gate is open.  False: it is broken. */
bool gate_enter(struct gate *gate);
void gate_exit(struct gate *gate);

/* Waits until nobody is inside, so many milliseconds at most: 0, and nobody
 * comes in until gate_open(); -ETIMEDOUT, and all goes on as before; -EBUSY:
 * somebody else has closed it. */
int gate_close(struct gate *gate, unsigned msec);
void gate_open(struct gate *gate);
/* Whoever has closed it has no image to put behind it: it is never opened
 * again, and all users are told. */
void gate_break(struct gate *gate);

#endif
