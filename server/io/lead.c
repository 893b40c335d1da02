/* SPDX-License-Identifier: BSD-2-Clause */
/* lead.c: a request that leads a commit goes on on a thread of its queue, with
 * all that depends on each other there: sync, metadata, sync.  Nothing of that
 * returns to the loop before the end.
 *
 * Syncs are shared in that one request leads and all others that want the same
 * wait for it.  Whoever comes when it has begun waits for the next commit; so
 * of clients that all come back when a commit ends, the first would lead the
 * next one alone, and the others, late by a moment, would wait for two syncs
 * instead of one.  A leader therefore waits until as many have joined as there
 * were around the end of the last commit, for PATIENCE of what a sync takes.
 * Where that was in vain it is not done for a while, longer each time.
 *
 * Who has joined, and what a sync takes, is known by and by and under
 * .gather.lock; what follows from it is no more than when a commit begins. */
#include "config.h"

#include <time.h>

#include "base/clock.h"
#include "io/engine.h"

/* Of what a sync takes, a half; and never longer than this. */
#define PATIENCE(sync_ns) ((sync_ns) / 2)
#define PATIENCE_MAX_NS UINT64_C(2000000)
/* So many commits begin at once after the leaders' patience was in vain. */
#define IN_VAIN_MAX 64

void
io_join(struct io_queue *queue)
{
  struct io_gather *gather = &queue->gather;

  /* Either this one sees that a leader waits, or that one sees this. */
  atomic_fetch_add(&gather->joined, 1);
  if (!atomic_load(&gather->waiting))
    return;
  pthread_mutex_lock(&gather->lock);
  if (atomic_load(&gather->joined) >= gather->expected)
    pthread_cond_signal(&gather->complete);
  pthread_mutex_unlock(&gather->lock);
}

/* ---------------------------------------------------------------- gathering */

/* Until when a leader has patience. */
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

  atomic_store(&gather->waiting, true);
  while (atomic_load(&gather->joined) < gather->expected && err == 0)
    err = pthread_cond_timedwait(&gather->complete, &gather->lock, &t);
  atomic_store(&gather->waiting, false);
  if (atomic_load(&gather->joined) >= gather->expected)
    gather->in_vain = 0;
  else if (gather->in_vain < IN_VAIN_MAX)
    gather->in_vain = 2 * gather->in_vain + 1;
  gather->hurry = gather->in_vain;
}

static void
gather_begin(struct io_gather *gather)
{
  pthread_mutex_lock(&gather->lock);
  atomic_fetch_add(&gather->joined, 1); /* the leader */
  if (gather->hurry > 0)
    gather->hurry--;
  else if (atomic_load(&gather->joined) < gather->expected)
    wait_for_others(gather);
  gather->served = atomic_exchange(&gather->joined, 0);
  pthread_mutex_unlock(&gather->lock);
}

static void
gather_end(struct io_gather *gather)
{
  pthread_mutex_lock(&gather->lock);
  gather->ended = clock_ns();
  gather->expected = gather->served + atomic_load(&gather->joined);
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

  gather_begin(&queue->gather);
  enum vhd_step step = vhd_request_step(req);
  while (step == VHD_STEP_IO && is_commit(req)) {
    for (unsigned i = 0; i < req->nio; i++)
      perform(queue, &req->io[i]);
    step = vhd_request_step(req);
  }
  gather_end(&queue->gather);
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
