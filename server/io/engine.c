/* SPDX-License-Identifier: BSD-2-Clause */
/* engine.c: which way an I/O takes; and its way by a thread. */
#include "config.h"

#include <assert.h>
#include <errno.h>

#include "io/engine.h"

/* On a thread of the queue. */
static void
job_run(struct io_work *work)
{
  struct io_job *job = (struct io_job *)work;
  struct vhd_io *io = job->io;

  if (io_job_cancelled(job)) {
    io->result = -ECANCELED;
    io_job_done(job);
    return;
  }
  io_class_find(job->batch->queue, io->fd);
  vhd_io_perform(io);
  io_job_done(job);
}

void
io_submit(struct io_batch *batch, unsigned n)
{
  assert(n > 0 && n <= VHD_REQUEST_IOS);
  atomic_store_explicit(&batch->left, n, memory_order_relaxed);
  for (unsigned i = 0; i < n; i++) {
    struct io_job *job = &batch->jobs[i];
    job->batch = batch;
    job->done = 0;
    job->work.run = job_run;
    /* Reads in the ring go first: a hole that hangs would hold them up. */
    if (job->io->kind != VHD_IO_READ && job->io->kind != VHD_IO_WRITE &&
        batch->loop->settled)
      batch->loop->settled(batch->loop);
    io_watch_begin(job);
    if (io_is_durable(job->io))
      io_durable(job);
    else if (!uring_take(job))
      io_queue_run(batch->queue, &job->work);
  }
}

void
io_perform(struct io_queue *queue, struct vhd_io *io)
{
  struct io_batch batch = { .queue = queue };
  struct io_job job = { .batch = &batch, .io = io };

  io_class_find(queue, io->fd);
  io_watch_begin(&job);
  vhd_io_perform(io);
  io_watch_end(&job);
}
