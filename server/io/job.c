/* SPDX-License-Identifier: BSD-2-Clause */
/* job.c: one I/O of a batch: whether it is still wanted, and its end.  Any
 * thread. */
#include "config.h"

#include "io/engine.h"

bool
io_job_cancelled(const struct io_job *job)
{
  const struct io_batch *batch = job->batch;
  const struct vhd_io *io = job->io;

  if (io->kind != VHD_IO_WRITE || !batch->cancel ||
      !atomic_load_explicit(batch->cancel, memory_order_relaxed))
    return false;
  const uintptr_t at = (uintptr_t)io->buf, data = (uintptr_t)batch->data;
  return at >= data && at - data < batch->data_len;
}

bool
io_job_end(struct io_job *job)
{
  struct io_batch *batch = job->batch;

  if (job->io->kind == VHD_IO_READ && job->io->result < 0)
    io_read_failed(batch->queue);
  io_watch_end(job);
  return atomic_fetch_sub_explicit(&batch->left, 1, memory_order_acq_rel) == 1;
}

void
io_job_done(struct io_job *job)
{
  struct io_batch *batch = job->batch;

  if (io_job_end(job))
    loop_post(batch->loop, &batch->done);
}
