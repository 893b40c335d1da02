/* SPDX-License-Identifier: BSD-2-Clause */
/* stop.c: see stop.h.  Each image is closed by a thread of its own queue, which
 * ends with it, so that a disk that hangs keeps no other image from being
 * closed; CLOSING of them at a time, and one more for each second in which none
 * has come to its end. */
#include "config.h"

#include "catalog/stop.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include "base/error.h"
#include "catalog/entry.h"
#include "catalog/list.h"

#define CLOSING 24

/* The lock is held.  Of all that was asked for nothing is under way, and nobody
 * has a reference? */
static bool
is_settled(const struct catalog *catalog)
{
  const struct entry *entry;
  const struct generation *gen;

  for (entry = catalog->entries; entry; entry = entry->hh.next)
    if (!entry_is_idle(entry))
      return false;
  TAILQ_FOREACH(gen, &catalog->live.all, link)
    if (gen->refs > 0 || gen->flushing)
      return false;
  return list_cache_is_idle(catalog->lists);
}

/* The lock is held.  One more that nobody uses is being closed by now; false:
 * there is none. */
static bool
close_one(struct catalog *catalog)
{
  struct generation *gen;
  struct entry *entry;

  TAILQ_FOREACH(gen, &catalog->live.all, link)
    if (!gen->closing && gen->refs == 0 && !gen->flushing)
      break;
  if (!gen)
    return false;
  entry = gen->owner;
  if (entry)
    entry->current = NULL;
  gen->owner = NULL;
  struct io_queue *queue = gen->export.queue;
  struct io_work *work = generation_begin_close(gen);
  pthread_mutex_unlock(&catalog->live.lock);
  io_queue_run(queue, work);
  pthread_mutex_lock(&catalog->live.lock);
  return true;
}

static struct timespec
seconds_from_now(unsigned seconds)
{
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_sec += seconds;
  return t;
}

static bool
is_later(const struct timespec *a, const struct timespec *b)
{
  return a->tv_sec > b->tv_sec ||
         (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* The lock is held.  Waits until something has changed: false, no later than
 * `until`. */
static bool
wait_changed(struct catalog *catalog, const struct timespec *until)
{
  return pthread_cond_timedwait(&catalog->live.changed, &catalog->live.lock,
                                until) != ETIMEDOUT;
}

/* The lock is held. */
static void
close_all(struct catalog *catalog, const struct timespec *until)
{
  struct generations *live = &catalog->live;
  unsigned allowed = CLOSING;

  while (!TAILQ_EMPTY(&live->all)) {
    while (live->nclosing < allowed && close_one(catalog))
      ;
    const unsigned before = live->nclosing;
    if (before == 0)
      return; /* what is left is in use still */
    struct timespec patience = seconds_from_now(1);
    if (is_later(&patience, until))
      patience = *until;
    bool in_time = true;
    while (live->nclosing == before && in_time)
      in_time = wait_changed(catalog, &patience);
    if (!in_time && !is_later(until, &patience))
      return;
    allowed += !in_time;
  }
}

int
catalog_stop(struct catalog *catalog, unsigned seconds, struct vhd_error *err)
{
  struct generations *live = &catalog->live;
  const struct timespec until = seconds_from_now(seconds);
  int r = 0;

  pthread_mutex_lock(&live->lock);
  while (!is_settled(catalog) && wait_changed(catalog, &until))
    ;
  close_all(catalog, &until);
  if (live->close_error < 0) {
    r = live->close_error;
    *err = live->close_err;
    live->close_error = 0;
  }
  if (!TAILQ_EMPTY(&live->all) || !is_settled(catalog))
    r = fail_system(err, ETIMEDOUT, "not all images could be closed in time");
  pthread_mutex_unlock(&live->lock);
  return r;
}
