/* SPDX-License-Identifier: BSD-2-Clause */
/* durable.c: writes that are durable when they are done.  A thread of the queue
 * writes what waits, has one sync made for all of it, and is done with it: on
 * the way nothing returns to a loop.
 *
 * One such thread at a time is the cheapest, and the quickest on a disk that
 * makes one sync after the other.  Others make many in the time of one, and
 * where that is short it pays to have several threads at it, each with its
 * share of what waits.  That is found by trying: now and then one window of
 * time is run the other way, which stays if it pays, by the writes that were
 * done in it.  Who begins waits for those who are expected (gather.c).
 *
 * All of this is under .lock, and no more follows from it than when which
 * writes begin. */
#include "config.h"

#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/container.h"
#include "io/engine.h"

#define WINDOW_NS UINT64_C(50000000)
/* Nothing is learned from a time in which nobody wants anything. */
#define PAUSE_NS UINT64_C(10000000)
/* Windows from one try to the next; more of them while it does not pay. */
#define HOLD_MIN 4
#define HOLD_MAX 64
/* Several syncers pay if there are more writes than this. */
#define PAYS(rate) ((rate) + (rate) / 16)

static struct io_job *
job_of(struct io_work *work)
{
  return (struct io_job *)work;
}

/* --------------------------------------------------------- how many at once */

/* The lock is held, here and below. */
static unsigned
most(const struct io_durables *d)
{
  return d->several ? IO_SYNCERS : 1;
}

static void
change(struct io_durables *d)
{
  d->several = !d->several;
  d->trying = !d->trying;
  d->held = 0;
}

static void
end_try(struct io_durables *d, uint64_t rate)
{
  if (d->several ? rate > PAYS(d->rate) : PAYS(rate) > d->rate) {
    d->trying = false;
    d->hold = 0;
  } else {
    change(d);
    if (d->hold < HOLD_MAX)
      d->hold = HOLD_MIN + 4 * d->hold;
  }
}

static void
end_window(struct io_durables *d, uint64_t now)
{
  const uint64_t rate = d->writes * UINT64_C(1000000000) / (now - d->began);
  /* Where each has had a sync to itself there is nothing to be divided. */
  const bool shared = d->writes > d->syncs || d->several;

  if (d->trying)
    end_try(d, rate);
  else if (++d->held >= HOLD_MIN + d->hold && shared)
    change(d);
  d->rate = rate;
  d->began = now;
  d->syncs = d->writes = 0;
}

/* A sync that so many share has ended. */
static void
count(struct io_durables *d, unsigned writes, uint64_t began, uint64_t now)
{
  if (began > d->ended + PAUSE_NS) {
    d->began = began;
    d->syncs = d->writes = 0;
  }
  d->ended = now;
  d->writes += writes;
  d->syncs++;
  if (now - d->began >= WINDOW_NS)
    end_window(d, now);
}

/* ---------------------------------------------------------------- carry out */

static void
write_one(struct io_job *job)
{
  struct vhd_io *io = job->io;

  if (io_job_cancelled(job)) {
    io->result = -ECANCELED;
    return;
  }
  io->flags &= ~VHD_IO_DURABLE;
  vhd_io_perform(io);
  io->flags |= VHD_IO_DURABLE;
}

static struct io_batch *
batch_of(struct task *done)
{
  return CONTAINER_OF(done, struct io_batch, done);
}

/* To their loops, those together that follow each other there. */
static void
post(struct tasks *done)
{
  struct tasks same = STAILQ_HEAD_INITIALIZER(same);
  struct loop *loop = NULL;
  struct task *task;

  while ((task = STAILQ_FIRST(done)) != NULL) {
    STAILQ_REMOVE_HEAD(done, link);
    if (loop != batch_of(task)->loop && !STAILQ_EMPTY(&same))
      loop_post_all(loop, &same);
    loop = batch_of(task)->loop;
    STAILQ_INSERT_TAIL(&same, task, link);
  }
  if (!STAILQ_EMPTY(&same))
    loop_post_all(loop, &same);
}

/* They end together; one says for all that the disk has done something. */
static void
end_all(struct io_works *group, int sync)
{
  struct tasks done = STAILQ_HEAD_INITIALIZER(done);
  struct io_work *work;
  struct task *task;

  while ((work = STAILQ_FIRST(group)) != NULL) {
    struct io_job *job = job_of(work);
    struct io_batch *batch = job->batch;
    STAILQ_REMOVE_HEAD(group, link);
    if (sync < 0 && job->io->result == 0) {
      job->io->result = sync;
      job->io->flags |= VHD_IO_LOST;
    }
    job->tells = STAILQ_EMPTY(group);
    if (io_job_end(job) && (!batch->ended || batch->ended(batch)))
      STAILQ_INSERT_TAIL(&done, &batch->done, link);
  }
  STAILQ_FOREACH(task, &done, link)
    if (batch_of(task)->ending)
      batch_of(task)->ending(batch_of(task));
  post(&done);
}

/* One by itself needs nothing else on the disk than its own bytes. */
static void
carry_out(struct io_works *group)
{
  struct io_work *work = STAILQ_FIRST(group);
  const struct vhd_io *first = job_of(work)->io;
  struct vhd_io sync = { .file = first->file,
                         .kind = VHD_IO_SYNC,
                         .fd = first->fd };

  if (STAILQ_NEXT(work, link) == NULL && !io_job_cancelled(job_of(work))) {
    vhd_io_perform(job_of(work)->io);
    end_all(group, 0);
    return;
  }
  STAILQ_FOREACH(work, group, link)
    write_one(job_of(work));
  vhd_io_perform(&sync);
  end_all(group, sync.result);
}

/* Of those who wait, as many as are expected for each syncer, or an equal share
 * for those that have not taken theirs or could begin.  All are of one file: a
 * queue is an image's, and only its top is written. */
static unsigned
take_share(struct io_durables *d, struct io_works *group)
{
  const unsigned more = most(d) > d->running ? most(d) - d->running : 0;
  const unsigned syncers = more + d->idle;
  const unsigned share = (d->npending + syncers - 1) / syncers;
  const unsigned expected = atomic_load(&d->gather.expected);
  const unsigned n = share > expected         ? share
                     : expected < d->npending ? expected
                                              : d->npending;

  for (unsigned i = 0; i < n; i++) {
    struct io_work *work = STAILQ_FIRST(&d->pending);
    STAILQ_REMOVE_HEAD(&d->pending, link);
    STAILQ_INSERT_TAIL(group, work, link);
  }
  d->npending -= n;
  d->under_way += n;
  io_gather_take(&d->gather, n);
  return n;
}

/* Makes a share of what waits durable.  The lock is held, but let go for most
 * of it. */
static void
serve(struct io_queue *queue, struct io_durables *d)
{
  struct io_works group = STAILQ_HEAD_INITIALIZER(group);

  pthread_mutex_unlock(&d->lock);
  io_gather_begin(&d->gather);
  pthread_mutex_lock(&d->lock);
  if (d->npending == 0) /* others have taken all */
    return;
  const unsigned n = take_share(d, &group);
  d->idle--;
  pthread_mutex_unlock(&d->lock);
  const uint64_t began = clock_ns();
  io_class_find(queue, job_of(STAILQ_FIRST(&group))->io->fd);
  carry_out(&group);
  const uint64_t now = clock_ns();
  io_gather_note(&d->gather, now - began);
  pthread_mutex_lock(&d->lock);
  io_gather_end(&d->gather,
                (d->under_way + d->npending + most(d) - 1) / most(d));
  d->under_way -= n;
  count(d, n, began, now);
  d->idle++;
}

/* On a thread of the queue, which outlives it. */
static void
run(struct io_work *work)
{
  struct io_syncer *syncer = (struct io_syncer *)work;
  struct io_queue *queue = syncer->queue;
  struct io_durables *d = &queue->durables;

  pthread_mutex_lock(&d->lock);
  while (d->npending > 0 && d->running <= most(d))
    serve(queue, d);
  d->idle--;
  d->running--;
  syncer->queue = NULL;
  pthread_mutex_unlock(&d->lock);
}

/* One that is free, if one more may begin, and those that are about to would
 * not take all. */
static struct io_syncer *
begin_one(struct io_queue *queue)
{
  struct io_durables *d = &queue->durables;
  struct io_syncer *syncer = d->syncers;
  const unsigned expected = atomic_load(&d->gather.expected);

  if (d->running >= most(d) ||
      d->npending <= d->idle * (expected > 0 ? expected : 1))
    return NULL;
  while (syncer->queue)
    syncer++;
  syncer->queue = queue;
  syncer->work.run = run;
  d->running++;
  d->idle++;
  return syncer;
}

void
io_durable(struct io_job *job)
{
  struct io_queue *queue = job->batch->queue;
  struct io_durables *d = &queue->durables;

  pthread_mutex_lock(&d->lock);
  STAILQ_INSERT_TAIL(&d->pending, &job->work, link);
  d->npending++;
  io_gather_join(&d->gather);
  struct io_syncer *syncer = begin_one(queue);
  pthread_mutex_unlock(&d->lock);
  if (syncer)
    io_queue_run(queue, &syncer->work);
}
