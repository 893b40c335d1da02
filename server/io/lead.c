/* SPDX-License-Identifier: BSD-2-Clause */
/* lead.c: a request that leads a commit goes on on a thread of its queue, with
 * all that depends on each other there: sync, metadata, sync.  Nothing of that
 * returns to the loop before the end. */
#include "config.h"

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

/* On a thread of the queue, which outlives it. */
static void
run(struct io_work *work)
{
  struct io_lead *lead = (struct io_lead *)work;
  struct vhd_request *req = lead->req;

  enum vhd_step step = vhd_request_step(req);
  while (step == VHD_STEP_IO && is_commit(req)) {
    for (unsigned i = 0; i < req->nio; i++)
      io_perform(lead->queue, &req->io[i]);
    step = vhd_request_step(req);
  }
  if (step == VHD_STEP_PARKED)
    return; /* the request, and with it the lead, is who woke it's */
  lead->step = step;
  loop_post(lead->loop, &lead->back);
}

void
io_lead(struct io_lead *lead)
{
  lead->work.run = run;
  io_queue_run(lead->queue, &lead->work);
}
