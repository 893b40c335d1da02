/* SPDX-License-Identifier: BSD-2-Clause */
/* lead.c: a request that leads a commit goes on on a thread of its queue, with
 * all that depends on each other there: sync, metadata, sync.  Nothing of that
 * returns to the loop before the end.
 *
 * Syncs are shared in that one request leads and all others that want the same
 * wait for it.  Whoever comes when it has begun waits for the next one; so of
 * clients that all come back when a sync has ended, the first would lead alone,
 * and the others, late by a moment, would wait for two syncs instead of one.  A
 * leader therefore waits until as many have joined as there were around the end
 * of the last sync, for PATIENCE of what a sync takes.  Where that was in vain
 * it is not done for a while, longer each time.
 *
 * Some disks do several syncs in the time of one, others one after the other.
 * How many leaders go on at once, each with its share of those who want it, is
 * found by trying: now and then one window is run with twice or half as many,
 * and that stays if in it more requests came to their end in a second.
 *
 * All of this is under .gather.lock, and no more than when a commit begins
 * follows from it. */
#include "config.h"

#include <time.h>

#include "base/clock.h"
#include "io/engine.h"

/* Of what a sync takes, a half; and never longer than this. */
#define PATIENCE(sync_ns) ((sync_ns) / 2)
#define PATIENCE_MAX_NS UINT64_C(2000000)
/* So many commits begin at once after the leaders' patience was in vain. */
#define IN_VAIN_MAX 64
/* No more at once: the library makes no more than this. */
#define LEADERS_MAX 4
/* A window: so many commits for each leader, in not less than that time. */
#define WINDOW_COMMITS 16
#define WINDOW_NS UINT64_C(10000000)
/* Windows from one try to the next. */
#define HOLD_MIN 8
#define HOLD_MAX 64

/* ------------------------------------------------------ how many at once */

/* A stretch of time in which as many lead at once. */
static void
window_begin(struct io_gather *gather, uint64_t now)
{
  gather->window = (struct io_window){ .began = now };
}

static void
try_other(struct io_gather *gather)
{
  gather->before = gather->leaders;
  gather->down = gather->leaders == LEADERS_MAX ||
                 (gather->leaders > 1 && !gather->down);
  gather->leaders = gather->down ? gather->leaders / 2 : gather->leaders * 2;
  gather->trying = true;
}

/* The window of a try is over: does that many pay? */
static void
judge(struct io_gather *gather, uint64_t rate)
{
  gather->trying = false;
  if (rate > gather->rate + gather->rate / 16) {
    gather->rate = rate;
    gather->hold = HOLD_MIN;
    gather->down = !gather->down; /* further that way */
  } else {
    gather->leaders = gather->before;
    if (gather->hold < HOLD_MAX)
      gather->hold *= 2;
  }
  gather->held = 0;
}

/* Where one request at a time wants a sync there is nothing to share, nor to
 * try. */
static void
window_end(struct io_gather *gather, uint64_t now)
{
  const uint64_t rate =
    gather->window.served * UINT64_C(1000000000) / (now - gather->window.began);

  if (gather->window.served < 2 * gather->window.commits &&
      gather->leaders == 1) {
    gather->trying = false;
  } else if (gather->trying) {
    judge(gather, rate);
  } else {
    gather->rate = rate;
    if (++gather->held >= gather->hold)
      try_other(gather);
  }
  window_begin(gather, now);
}

static void
window_count(struct io_gather *gather, unsigned served)
{
  const uint64_t now = gather->ended;

  gather->window.served += served;
  if (++gather->window.commits >= WINDOW_COMMITS * gather->leaders &&
      now > gather->window.began + WINDOW_NS)
    window_end(gather, now);
}

/* ---------------------------------------------------------------- gathering */

void
io_join(struct io_queue *queue)
{
  struct io_gather *gather = &queue->gather;

  pthread_mutex_lock(&gather->lock);
  gather->joined++;
  if (gather->waiting > 0 && gather->joined >= gather->expected)
    pthread_cond_broadcast(&gather->complete);
  pthread_mutex_unlock(&gather->lock);
}

/* Until when a leader has patience. */
static uint64_t
patience_end(const struct io_gather *gather)
{
  const uint64_t patience = PATIENCE(gather->sync_ns);

  return gather->ended +
         (patience < PATIENCE_MAX_NS ? patience : PATIENCE_MAX_NS);
}

/* Waits for those who are expected. */
static void
wait_for_others(struct io_gather *gather)
{
  const uint64_t until = patience_end(gather);
  const struct timespec t = {
    .tv_sec = (time_t)(until / 1000000000),
    .tv_nsec = (long)(until % 1000000000),
  };
  int err = 0;

  gather->waiting++;
  while (gather->joined < gather->expected && err == 0)
    err = pthread_cond_timedwait(&gather->complete, &gather->lock, &t);
  gather->waiting--;
  if (gather->joined >= gather->expected)
    gather->in_vain = 0;
  else if (gather->in_vain < IN_VAIN_MAX)
    gather->in_vain = 2 * gather->in_vain + 1;
  gather->hurry = gather->in_vain;
}

/* Returns how many are served. */
static unsigned
gather_begin(struct io_gather *gather)
{
  pthread_mutex_lock(&gather->lock);
  gather->joined++; /* the leader */
  while (gather->running >= gather->leaders)
    pthread_cond_wait(&gather->ready, &gather->lock);
  gather->running++;
  if (gather->hurry > 0)
    gather->hurry--;
  else if (gather->joined < gather->expected)
    wait_for_others(gather);
  const unsigned served = gather->joined;
  gather->joined = 0;
  gather->under_way += served;
  pthread_mutex_unlock(&gather->lock);
  return served;
}

static void
gather_end(struct io_gather *gather, unsigned served)
{
  pthread_mutex_lock(&gather->lock);
  const uint64_t now = clock_ns();
  if (now > gather->ended + 4 * gather->sync_ns + WINDOW_NS)
    window_begin(gather, now); /* nobody wanted anything meanwhile */
  gather->ended = now;
  gather->running--;
  const unsigned around = gather->under_way + gather->joined;
  gather->under_way -= served;
  window_count(gather, served);
  gather->expected = (around + gather->leaders - 1) / gather->leaders;
  pthread_cond_broadcast(&gather->ready);
  pthread_mutex_unlock(&gather->lock);
}

static void
note_sync(struct io_gather *gather, uint64_t ns)
{
  pthread_mutex_lock(&gather->lock);
  const uint64_t before = gather->sync_ns;
  gather->sync_ns = before == 0 ? ns : before - before / 8 + ns / 8;
  pthread_mutex_unlock(&gather->lock);
}

/* ------------------------------------------------------------------ leading */

/* Are the I/Os of this step part of a commit?  Clients' data is the loop's
 * business: it may be written in other ways, or not at all any more. */
static bool
is_commit(const struct vhd_request *req)
{
  const uintptr_t data = (uintptr_t)req->buf;

  for (unsigned i = 0; i < req->nio; i++) {
    const struct vhd_io *io = &req->io[i];
    const uintptr_t at = (uintptr_t)io->buf;
    if (io->kind == VHD_IO_WRITE
          ? req->op == VHD_WRITE && at >= data && at - data < req->len
          : io->kind != VHD_IO_SYNC)
      return false;
  }
  return true;
}

static void
perform(struct io_queue *queue, struct vhd_io *io)
{
  const uint64_t began = clock_ns();

  io_perform(queue, io);
  if (io->kind == VHD_IO_SYNC)
    note_sync(&queue->gather, clock_ns() - began);
}

/* On a thread of the queue, which outlives it. */
static void
run(struct io_work *work)
{
  struct io_lead *lead = (struct io_lead *)work;
  struct vhd_request *req = lead->req;
  struct io_queue *queue = lead->queue;
  struct loop *loop = lead->loop;

  const unsigned served = gather_begin(&queue->gather);
  enum vhd_step step = vhd_request_step(req);
  while (step == VHD_STEP_IO && is_commit(req)) {
    for (unsigned i = 0; i < req->nio; i++)
      perform(queue, &req->io[i]);
    step = vhd_request_step(req);
  }
  gather_end(&queue->gather, served);
  if (step == VHD_STEP_PARKED)
    return; /* it may have been woken, and be elsewhere, by now */
  lead->step = step;
  loop_post(loop, &lead->back);
}

void
io_lead(struct io_lead *lead)
{
  lead->work.run = run;
  io_queue_run(lead->queue, &lead->work);
}
