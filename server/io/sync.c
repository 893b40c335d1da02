/* SPDX-License-Identifier: BSD-2-Clause */
/* sync.c: one fdatasync for all who wait.
 *
 * A sync makes durable what was completed before it began.  So whoever asks
 * while one is running waits for the next, together with all who ask until that
 * begins; one thread of the queue is busy with syncs, never two.
 *
 *   idle --io_sync()--> running --more waiting--> running ... --none--> idle
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
  struct io_queue *queue =
    (struct io_queue *)((char *)work - offsetof(struct io_queue, sync_work));
  struct io_work *waiter;
  bool more = true;

  /* Here because somebody waits. */
  while (more) {
    struct io_works served = STAILQ_HEAD_INITIALIZER(served);
    pthread_mutex_lock(&queue->lock);
    split_same_file(&queue->sync_waiting, &served);
    pthread_mutex_unlock(&queue->lock);

    const struct vhd_io *io = ((struct io_job *)STAILQ_FIRST(&served))->io;
    struct vhd_io sync = {
      .file = io->file,
      .fd = io->fd,
      .kind = VHD_IO_SYNC,
    };
    vhd_io_perform(&sync);

    /* From its last job on, the image may be closed: so the state comes first.
     * (The queue itself outlives its threads.) */
    pthread_mutex_lock(&queue->lock);
    more = !STAILQ_EMPTY(&queue->sync_waiting);
    queue->sync_running = more;
    pthread_mutex_unlock(&queue->lock);
    while ((waiter = STAILQ_FIRST(&served)) != NULL) {
      struct io_job *job = (struct io_job *)waiter;
      STAILQ_REMOVE_HEAD(&served, link);
      job->io->result = sync.result;
      io_job_done(job);
    }
  }
}

void
io_sync(struct io_job *job)
{
  struct io_queue *queue = job->batch->queue;

  pthread_mutex_lock(&queue->lock);
  STAILQ_INSERT_TAIL(&queue->sync_waiting, &job->work, link);
  const bool start = !queue->sync_running;
  queue->sync_running = true;
  pthread_mutex_unlock(&queue->lock);
  if (start) {
    queue->sync_work.run = sync_run;
    io_queue_run(queue, &queue->sync_work);
  }
}
