/* SPDX-License-Identifier: BSD-2-Clause */
/* gate.c: see gate.h. */
#include "config.h"

#include "disk/gate.h"

#include <errno.h>
#include <time.h>

#include "base/container.h"

void
gate_init(struct gate *gate)
{
  pthread_condattr_t attr;

  pthread_mutex_init(&gate->lock, NULL);
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&gate->changed, &attr);
  pthread_condattr_destroy(&attr);
  TAILQ_INIT(&gate->users);
}

void
gate_destroy(struct gate *gate)
{
  assert(TAILQ_EMPTY(&gate->users) && gate->threads == 0);
  assert(!gate->closed || gate->broken);
  pthread_cond_destroy(&gate->changed);
  pthread_mutex_destroy(&gate->lock);
}

/* -------------------------------------------------------------------- users */

/* The lock is held. */
static void
note_quiet(struct gate_user *user)
{
  struct gate *gate = user->gate;

  if (!gate->closed || user->quiet)
    return;
  user->quiet = true;
  if (--gate->loud == 0)
    pthread_cond_broadcast(&gate->changed);
}

void
gate_tell_quiet(struct gate_user *user)
{
  pthread_mutex_lock(&user->gate->lock);
  note_quiet(user);
  pthread_mutex_unlock(&user->gate->lock);
}

/* The gate has been closed, or opened, or both, since it was posted. */
static void
on_turn(struct task *task)
{
  struct gate_user *user = CONTAINER_OF(task, struct gate_user, turn);
  struct gate *gate = user->gate;

  pthread_mutex_lock(&gate->lock);
  user->posted = false;
  user->held = gate->closed && !user->left;
  user->broken = gate->broken;
  if (user->held && user->inside == 0)
    note_quiet(user);
  pthread_mutex_unlock(&gate->lock);
  user->turned(user);
}

void
gate_join(struct gate *gate, struct gate_user *user, struct loop *loop,
          void (*turned)(struct gate_user *user))
{
  *user = (struct gate_user){
    .gate = gate,
    .loop = loop,
    .turned = turned,
    .turn.run = on_turn,
  };
  pthread_mutex_lock(&gate->lock);
  TAILQ_INSERT_TAIL(&gate->users, user, link);
  user->held = user->quiet = gate->closed;
  user->broken = gate->broken;
  pthread_mutex_unlock(&gate->lock);
}

bool
gate_leave(struct gate_user *user)
{
  struct gate *gate = user->gate;

  if (!gate)
    return true;
  assert(user->inside == 0);
  pthread_mutex_lock(&gate->lock);
  if (!user->left) {
    note_quiet(user);
    TAILQ_REMOVE(&gate->users, user, link);
    user->left = true;
  }
  const bool free = !user->posted;
  pthread_mutex_unlock(&gate->lock);
  return free;
}

/* ------------------------------------------------------------------ threads */

bool
gate_enter(struct gate *gate)
{
  pthread_mutex_lock(&gate->lock);
  while (gate->closed && !gate->broken)
    pthread_cond_wait(&gate->changed, &gate->lock);
  const bool in = !gate->broken;
  gate->threads += in;
  pthread_mutex_unlock(&gate->lock);
  return in;
}

void
gate_exit(struct gate *gate)
{
  pthread_mutex_lock(&gate->lock);
  assert(gate->threads > 0);
  if (--gate->threads == 0)
    pthread_cond_broadcast(&gate->changed);
  pthread_mutex_unlock(&gate->lock);
}

/* --------------------------------------------------------- closing, opening */

/* The lock is held. */
static void
turn_all(struct gate *gate, bool closed)
{
  struct gate_user *user;

  gate->closed = closed;
  gate->loud = 0;
  TAILQ_FOREACH(user, &gate->users, link) {
    user->quiet = false;
    gate->loud += closed;
    if (!user->posted)
      loop_post(user->loop, &user->turn);
    user->posted = true;
  }
  pthread_cond_broadcast(&gate->changed);
}

static struct timespec
msec_from_now(unsigned msec)
{
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_sec += msec / 1000;
  t.tv_nsec += (long)(msec % 1000) * 1000000;
  if (t.tv_nsec >= 1000000000) {
    t.tv_sec++;
    t.tv_nsec -= 1000000000;
  }
  return t;
}

int
gate_close(struct gate *gate, unsigned msec)
{
  const struct timespec until = msec_from_now(msec);
  int err = 0;

  pthread_mutex_lock(&gate->lock);
  if (gate->closed) {
    pthread_mutex_unlock(&gate->lock);
    return -EBUSY;
  }
  turn_all(gate, true);
  while (gate->loud + gate->threads > 0 && err == 0)
    err = pthread_cond_timedwait(&gate->changed, &gate->lock, &until);
  const bool empty = gate->loud + gate->threads == 0;
  if (!empty)
    turn_all(gate, false);
  pthread_mutex_unlock(&gate->lock);
  return empty ? 0 : -ETIMEDOUT;
}

void
gate_open(struct gate *gate)
{
  pthread_mutex_lock(&gate->lock);
  assert(gate->closed);
  turn_all(gate, false);
  pthread_mutex_unlock(&gate->lock);
}

void
gate_break(struct gate *gate)
{
  pthread_mutex_lock(&gate->lock);
  assert(gate->closed);
  gate->broken = true;
  turn_all(gate, true);
  pthread_mutex_unlock(&gate->lock);
}
