/* SPDX-License-Identifier: BSD-2-Clause */
/* op.c: see op.h.  On the thread of the client's loop. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/command/op.h"
#include "catalog/generation.h"
#include "client/reply.h"
#include "client/worker.h"

/* A loop keeps so many for the next requests. */
#define SPARE_MAX 64

/* ---------------------------------------------------------- life of an op */

struct op *
op_new(struct client *c, const struct nbd_request *req)
{
  struct worker *worker = c->worker;
  struct op *op = worker->spare_ops;

  if (op) {
    worker->spare_ops = op->next;
    worker->nspare_ops--;
  } else {
    op = malloc(sizeof *op);
    if (!op)
      return NULL;
  }
  op->client = c;
  op->req = *req;
  op->began_ns = c->turn_ns;
  op->plain = false;
  op->answered = false;
  op->in_flight = false;
  op->pinned = false;
  op->split = false;
  op->charge = 0;
  op->input = NULL;
  op->buf = NULL;
  op->got = 0;
  op->pieces = 0;
  return op;
}

void
op_free(struct op *op)
{
  struct client *c = op->client;
  struct worker *worker = c->worker;

  op_end(op);
  buf_unref(&c->loop->bufs, op->input);
  if (op->buf)
    budget_put(&c->account, op->buf);
  const bool in_flight = op->in_flight;
  if (in_flight) {
    budget_discharge(&c->account, op->charge);
    client_answered(c, op->req.type, op->began_ns);
  } else {
    client_answered_at_once(c, op->req.type);
  }

  if (worker->nspare_ops < SPARE_MAX) {
    op->next = worker->spare_ops;
    worker->spare_ops = op;
    worker->nspare_ops++;
  } else {
    free(op);
  }

  if (in_flight)
    client_done(c);
}

void
op_clear_spare(struct worker *worker)
{
  struct op *op;

  while ((op = worker->spare_ops) != NULL) {
    worker->spare_ops = op->next;
    free(op);
  }
  worker->nspare_ops = 0;
}

void
op_suspend(struct op *op)
{
  if (op->in_flight)
    return;
  op->in_flight = true;
  op->charge = sizeof *op;
  if (op->input)
    op->charge += op->input->resident;
  budget_charge(&op->client->account, op->charge);
  client_begin(op->client);
}

/* --------------------------------------------------------------- stepping */

static void perform_and_run(struct op *op);

/* A thread has stepped it last. */
static void
go_on(struct op *op)
{
  if (op->lead.step == VHD_STEP_DONE)
    op->finish(op);
  else
    perform_and_run(op);
}

/* It has led a commit. */
static void
on_back(struct task *task)
{
  go_on(OP_OF(task, lead.back));
}

/* On a thread that has stepped it. */
static void
answer_early(struct op *op)
{
  op->answered = op->plain && op->lead.step == VHD_STEP_DONE &&
                 op->vr.result == 0 && reply_early(op->client, &op->req);
}

static void
on_led(struct io_lead *lead)
{
  struct op *op = OP_OF(lead, lead);

  answer_early(op);
  if (op->answered)
    send_early(&op->client->send);
}

static void
on_woken(struct task *task)
{
  struct op *op = OP_OF(task, woken);

  if (!op->vr.leads) {
    op_run(op);
    return;
  }
  op->lead.req = &op->vr;
  op->lead.queue = op->client->export->queue;
  op->lead.loop = op->client->loop;
  op->lead.back.run = on_back;
  op->lead.ended = on_led;
  io_lead(&op->lead);
}

static void
wake(struct vhd_request *vr)
{
  struct op *op = OP_OF(vr, vr);

  loop_post(op->client->loop, &op->woken);
}

int
op_start(struct op *op, enum vhd_op what, uint64_t off, uint64_t len,
         void *buf, uint32_t flags)
{
  const int r = vhd_request_start(&op->vr, op->client->export->image, what,
                                  off, len, buf, flags);
  if (r < 0)
    return r;
  op->vr.wake = wake;
  op->woken.run = on_woken;
  op->pinned = (flags & VHD_PIN) != 0;
  return 0;
}

void
op_later(struct op *op)
{
  op_suspend(op);
  loop_post(op->client->loop, &op->woken);
}

void
op_end(struct op *op)
{
  if (op->pinned)
    vhd_request_end(&op->vr);
  op->pinned = false;
}

static void
on_performed(struct task *task)
{
  struct op *op = OP_OF(task, batch.done);

  if (op->stepped)
    go_on(op);
  else
    op_run(op);
}

/* On the thread that has made it durable.  Once parked it may have been woken,
 * and be elsewhere. */
static bool
on_durable(struct io_batch *batch)
{
  struct op *op = OP_OF(batch, batch);
  const enum vhd_step step = vhd_request_step(&op->vr);

  if (step == VHD_STEP_PARKED)
    return false;
  op->lead.step = step;
  op->stepped = true;
  answer_early(op);
  return true;
}

static void
on_all_durable(struct io_batch *batch)
{
  send_early(&OP_OF(batch, batch)->client->send);
}

static void
on_submitted(struct task *task)
{
  struct op *op = OP_OF(task, batch.done);

  op->finish(op);
}

static void
submit(struct op *op, unsigned n, void (*done)(struct task *))
{
  struct client *c = op->client;

  op_suspend(op);
  op->batch.loop = c->loop;
  op->batch.queue = c->export->queue;
  op->batch.done.run = done;
  op->batch.ended = op->plain ? on_durable : NULL;
  op->batch.ending = op->plain ? on_all_durable : NULL;
  op->stepped = false;
  op->batch.cancel = &c->cancelled;
  op->batch.data = op->vr.buf;
  op->batch.data_len = op->vr.op == VHD_WRITE ? op->vr.len : 0;
  io_submit(&op->batch, n);
}

void
op_submit(struct op *op, unsigned nio)
{
  for (unsigned i = 0; i < nio; i++)
    op->batch.jobs[i].io = &op->io[i];
  submit(op, nio, on_submitted);
}

/* Is it data that a client who has gone wanted written? */
static bool
is_void(const struct op *op, const struct vhd_io *io)
{
  if (io->kind != VHD_IO_WRITE || op->vr.op != VHD_WRITE ||
      !atomic_load_explicit(&op->client->cancelled, memory_order_relaxed))
    return false;
  const uintptr_t at = (uintptr_t)io->buf, data = (uintptr_t)op->vr.buf;
  return at >= data && at - data < op->vr.len;
}

/* The I/Os of a step.  False: some have gone to the engine. */
static bool
perform(struct op *op)
{
  struct io_queue *queue = op->client->export->queue;
  unsigned n = 0;

  for (unsigned i = 0; i < op->vr.nio; i++) {
    struct vhd_io *io = &op->vr.io[i];
    if (is_void(op, io))
      io->result = -ECANCELED;
    else if (!io_try(queue, io))
      op->batch.jobs[n++].io = io;
  }
  if (n == 0)
    return true;
  submit(op, n, on_performed);
  return false;
}

static void
perform_and_run(struct op *op)
{
  if (perform(op))
    op_run(op);
}

/* It waits, mostly for a commit where it wants one. */
static void
parked(struct op *op)
{
  op_suspend(op);
  if (!op->vr.leads && (op->vr.op == VHD_FLUSH || op->vr.flags & VHD_FUA))
    io_join(op->client->export->queue);
}

void
op_run(struct op *op)
{
  for (;;) {
    switch (vhd_request_step(&op->vr)) {
    case VHD_STEP_DONE:
      op->finish(op);
      return;
    case VHD_STEP_PARKED:
      parked(op);
      return;
    case VHD_STEP_IO:
      if (!perform(op))
        return;
      break;
    }
  }
}

/* ---------------------------------------------------------------- answers */

void
op_answer(struct op *op, int err)
{
  if (err)
    reply_errno(op->client, &op->req, err);
  else if (!op->answered)
    reply_ok(op->client, &op->req);
  op_free(op);
}
