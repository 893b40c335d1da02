/* SPDX-License-Identifier: BSD-2-Clause */
/* lead.c: a request that leads a commit goes on on a thread of its queue, with
 * all that depends on each other there: sync, metadata, sync.  Nothing of that
 * returns to the loop before the end.  Others that want the same meanwhile wait
 * for it, or for the next (gather.c). */
#include "config.h"

#include "base/clock.h"
#include "io/engine.h"

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

void
io_join(struct io_queue *queue)
{
  io_gather_join(&queue->gather);
}

static void
perform(struct io_queue *queue, struct vhd_io *io)
{
  const uint64_t began = clock_ns();

  io_perform(queue, io);
  if (io->kind == VHD_IO_SYNC)
    io_gather_note(&queue->gather, clock_ns() - began);
}

/* On a thread of the queue, which outlives it. */
static void
run(struct io_work *work)
{
  struct io_lead *lead = (struct io_lead *)work;
  struct vhd_request *req = lead->req;
  struct io_queue *queue = lead->queue;
  struct io_gather *gather = &queue->gather;
  struct loop *loop = lead->loop;

  io_gather_join(gather);
  io_gather_begin(gather);
  const unsigned served = atomic_load(&gather->joined);
  io_gather_take(gather, served);
  enum vhd_step step = vhd_request_step(req);
  while (step == VHD_STEP_IO && is_commit(req)) {
    for (unsigned i = 0; i < req->nio; i++)
      perform(queue, &req->io[i]);
    step = vhd_request_step(req);
  }
  io_gather_end(gather, served + atomic_load(&gather->joined));
  if (step == VHD_STEP_PARKED)
    return; /* it may have been woken, and be elsewhere, by now */
  lead->step = step;
  if (lead->ended)
    lead->ended(lead);
  loop_post(loop, &lead->back);
}

void
io_lead(struct io_lead *lead)
{
  lead->work.run = run;
  io_queue_run(lead->queue, &lead->work);
}
