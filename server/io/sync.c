/* SPDX-License-Identifier: BSD-2-Clause */
/* sync.c: one fdatasync for many who wait.
 *
 * A sync makes durable what was completed before it began.  So whoever asks
 * while all syncers are busy waits for the next to be free, together with all
 * who ask until then.  There are two of them, since a disk that has a second
 * flush to do often ends the first one sooner; one thread of the queue runs
 * each that has something to do.
 *
 * Only the jobs of one file are served together; an image writes to one. */
#include "config.h"

#include <stddef.h>

#include "io/engine.h"

static void
split_same_file(struct io_works *from, struct io_works *same)
{
  struct io_works rest = STAILQ_HEAD_INITIALIZER(rest);
  struct io_work *work;
  struct vhd_file *file = NULL;

  while ((work = STAILQ_FIRST(from)) != NULL) {
    struct io_job *job = (struct io_job *)work;
    STAILQ_REMOVE_HEAD(from, link);
    if (!file)
      file = job->io->file;
    if (job->io->file == file)
      STAILQ_INSERT_TAIL(same, work, link);
    else
      STAILQ_INSERT_TAIL(&rest, work, link);
  }
  STAILQ_CONCAT(from, &rest);
}

static void
sync_run(struct io_work *work)
{
  struct io_syncer *syncer = (struct io_syncer *)work;
  struct io_queue *queue = syncer->queue;
  struct io_work *waiter;

  for (;;) {
    struct io_works served = STAILQ_HEAD_INITIALIZER(served);
    pthread_mutex_lock(&queue->lock);
    split_same_file(&queue->sync_waiting, &served);
    queue->sync_starting = false;
    if (STAILQ_EMPTY(&served))
      syncer->running = false;
    pthread_mutex_unlock(&queue->lock);
    if (STAILQ_EMPTY(&served))
      return;

    const struct vhd_io *io = ((struct io_job *)STAILQ_FIRST(&served))->io;
    struct vhd_io sync = {
      .file = io->file,
      .fd = io->fd,
      .kind = VHD_IO_SYNC,
    };
    vhd_io_perform(&sync);

    /* From its last job on, the image may be closed; the queue outlives its
     * threads. */
    while ((waiter = STAILQ_FIRST(&served)) != NULL) {
      struct io_job *job = (struct io_job *)waiter;
      STAILQ_REMOVE_HEAD(&served, link);
      job->io->result = sync.result;
      io_job_done(job);
    }
  }
}

static void
start_syncer(struct io_queue *queue)
{
  struct io_syncer *syncer = NULL;

  pthread_mutex_lock(&queue->lock);
  if (!STAILQ_EMPTY(&queue->sync_waiting) && !queue->sync_starting)
    for (unsigned i = 0; i < IO_SYNCERS && !syncer; i++)
      if (!queue->syncers[i].running)
        syncer = &queue->syncers[i];
  if (syncer)
    syncer->running = queue->sync_starting = true;
  pthread_mutex_unlock(&queue->lock);
  if (syncer) {
    syncer->queue = queue;
    syncer->work.run = sync_run;
    io_queue_run(queue, &syncer->work);
  }
}

/* The job is still waiting or being served: that it is done would be heard of
 * later on this loop. */
static void
on_start(struct task *task)
{
  struct io_job *job =
    (struct io_job *)((char *)task - offsetof(struct io_job, start));

  start_syncer(job->batch->queue);
}

void
io_sync(struct io_job *job)
{
  struct io_queue *queue = job->batch->queue;
  struct loop *loop = loop_current();

  job->start.run = on_start;
  pthread_mutex_lock(&queue->lock);
  STAILQ_INSERT_TAIL(&queue->sync_waiting, &job->work, link);
  pthread_mutex_unlock(&queue->lock);
  if (loop)
    loop_post(loop, &job->start);
  else
    start_syncer(queue);
}
