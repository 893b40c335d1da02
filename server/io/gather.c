/* SPDX-License-Identifier: BSD-2-Clause */
/* gather.c: when something begins that is shared by those who wait for it: a
 * commit (lead.c), a sync (durable.c).
 *
 * Whoever comes when it has begun waits for the next one; so of clients that
 * all come back when one ends, the first would begin the next one alone, and
 * the others, late by a moment, would wait for two syncs instead of one.  Who
 * begins therefore waits until as many have joined as there were around the end
 * of the last one, for PATIENCE of what a sync takes.  Where that was in vain
 * it is not done for a while, longer each time.
 *
 * Who has joined, and what a sync takes, is known by and by and under .lock;
 * what follows from it is no more than when something begins.  Any thread. */
#include "config.h"

#include <time.h>

#include "base/clock.h"
#include "io/engine.h"

/* Of what a sync takes, a half; and never longer than this. */
#define PATIENCE(sync_ns) ((sync_ns) / 2)
#define PATIENCE_MAX_NS UINT64_C(2000000)
/* So many begin at once after patience was in vain. */
#define IN_VAIN_MAX 64

void
io_gather_init(struct io_gather *gather)
{
  pthread_condattr_t attr;

  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&gather->complete, &attr);
  pthread_condattr_destroy(&attr);
  pthread_mutex_init(&gather->lock, NULL);
}

void
io_gather_destroy(struct io_gather *gather)
{
  pthread_cond_destroy(&gather->complete);
  pthread_mutex_destroy(&gather->lock);
}

static bool
is_complete(const struct io_gather *gather)
{
  return atomic_load(&gather->joined) >= atomic_load(&gather->expected);
}

/* One of those who wait may begin.  The lock is held. */
static void
tell(struct io_gather *gather)
{
  if (atomic_load(&gather->waiting) > 0 && is_complete(gather))
    pthread_cond_signal(&gather->complete);
}

void
io_gather_join(struct io_gather *gather)
{
  /* Either this one sees that somebody waits, or that one sees this. */
  atomic_fetch_add(&gather->joined, 1);
  if (atomic_load(&gather->waiting) == 0)
    return;
  pthread_mutex_lock(&gather->lock);
  tell(gather);
  pthread_mutex_unlock(&gather->lock);
}

/* Until when there is patience. */
static uint64_t
patience_end(const struct io_gather *gather)
{
  const uint64_t patience = PATIENCE(gather->sync_ns);

  return gather->ended +
         (patience < PATIENCE_MAX_NS ? patience : PATIENCE_MAX_NS);
}

/* The lock is held.  Waits for those who are expected. */
static void
wait_for_others(struct io_gather *gather)
{
  const uint64_t until = patience_end(gather);
  const struct timespec t = {
    .tv_sec = (time_t)(until / 1000000000),
    .tv_nsec = (long)(until % 1000000000),
  };
  int err = 0;

  atomic_fetch_add(&gather->waiting, 1);
  while (!is_complete(gather) && err == 0)
    err = pthread_cond_timedwait(&gather->complete, &gather->lock, &t);
  atomic_fetch_sub(&gather->waiting, 1);
  if (is_complete(gather))
    gather->in_vain = 0;
  else if (gather->in_vain < IN_VAIN_MAX)
    gather->in_vain = 2 * gather->in_vain + 1;
  gather->hurry = gather->in_vain;
}

void
io_gather_begin(struct io_gather *gather)
{
  pthread_mutex_lock(&gather->lock);
  if (gather->hurry > 0)
    gather->hurry--;
  else if (!is_complete(gather))
    wait_for_others(gather);
  pthread_mutex_unlock(&gather->lock);
}

void
io_gather_take(struct io_gather *gather, unsigned n)
{
  pthread_mutex_lock(&gather->lock);
  atomic_fetch_sub(&gather->joined, n);
  tell(gather);
  pthread_mutex_unlock(&gather->lock);
}

void
io_gather_end(struct io_gather *gather, unsigned expected)
{
  pthread_mutex_lock(&gather->lock);
  gather->ended = clock_ns();
  atomic_store(&gather->expected, expected);
  pthread_mutex_unlock(&gather->lock);
}

void
io_gather_note(struct io_gather *gather, uint64_t ns)
{
  pthread_mutex_lock(&gather->lock);
  const uint64_t before = gather->sync_ns;
  gather->sync_ns = before == 0 ? ns : before - before / 8 + ns / 8;
  pthread_mutex_unlock(&gather->lock);
}
