/* SPDX-License-Identifier: BSD-2-Clause */
/* op.c: see op.h.  On the thread of the connection's loop. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/op.h"
#include "catalog/catalog.h"
#include "nbd/reply.h"
#include "server.h"

/* A loop keeps so many for the next requests. */
#define SPARE_MAX 64

#define OP_OF(pointer, member) \
  ((struct op *)((char *)(pointer) - offsetof(struct op, member)))

/* ---------------------------------------------------------- life of an op */

struct op *
op_new(struct connection *conn, const struct nbd_request *req)
{
  struct loop *loop = conn->loop;
  struct op *op = loop->spare_ops;

  if (op) {
    loop->spare_ops = op->next;
    loop->nspare_ops--;
  } else {
    op = malloc(sizeof *op);
    if (!op)
      return NULL;
  }
  op->conn = conn;
  op->req = *req;
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
  struct connection *conn = op->conn;
  struct loop *loop = conn->loop;

  op_end(op);
  buf_unref(&loop->bufs, op->input);
  if (op->buf)
    connection_put_buf(conn, op->buf);
  const bool in_flight = op->in_flight;
  if (in_flight)
    connection_discharge(conn, op->charge);

  if (loop->nspare_ops < SPARE_MAX) {
    op->next = loop->spare_ops;
    loop->spare_ops = op;
    loop->nspare_ops++;
  } else {
    free(op);
  }

  if (in_flight) {
    conn->nops--;
    if (connection_is_dead(conn))
      connection_reap(conn);
    else
      connection_kick(conn);
  }
}

void
op_clear_spare(struct loop *loop)
{
  struct op *op;

  while ((op = loop->spare_ops) != NULL) {
    loop->spare_ops = op->next;
    free(op);
  }
  loop->nspare_ops = 0;
}

void
op_suspend(struct op *op)
{
  if (op->in_flight)
    return;
  op->in_flight = true;
  op->charge = sizeof *op;
  if (op->input)
    op->charge += buf_footprint(op->input);
  connection_charge(op->conn, op->charge);
  op->conn->nops++;
}

/* --------------------------------------------------------------- stepping */

static void
on_woken(struct task *task)
{
  op_run(OP_OF(task, woken));
}

static void
wake(struct vhd_request *vr)
{
  struct op *op = OP_OF(vr, vr);

  loop_post(op->conn->loop, &op->woken);
}

int
op_start(struct op *op, enum vhd_op what, uint64_t off, uint64_t len,
         void *buf, uint32_t flags)
{
  const int r = vhd_request_start(&op->vr, op->conn->export->image, what, off,
                                  len, buf, flags);
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
  loop_post(op->conn->loop, &op->woken);
}

void
op_end(struct op *op)
{
  if (op->pinned)
    vhd_request_end(&op->vr);
  op->pinned = false;
}

static void
on_stepped(struct task *task)
{
  op_run(OP_OF(task, batch.done));
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
  struct connection *conn = op->conn;

  op_suspend(op);
  op->batch.loop = conn->loop;
  op->batch.queue = conn->export->queue;
  op->batch.done.run = done;
  op->batch.cancel = &conn->cancelled;
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

/* Is it data that a dead client wanted written? */
static bool
is_void(const struct op *op, const struct vhd_io *io)
{
  if (io->kind != VHD_IO_WRITE || op->vr.op != VHD_WRITE ||
      !atomic_load_explicit(&op->conn->cancelled, memory_order_relaxed))
    return false;
  const uintptr_t at = (uintptr_t)io->buf, data = (uintptr_t)op->vr.buf;
  return at >= data && at - data < op->vr.len;
}

/* The I/Os of a step.  False: some have gone to the engine. */
static bool
perform(struct op *op)
{
  struct io_queue *queue = op->conn->export->queue;
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
  submit(op, n, on_stepped);
  return false;
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
      op_suspend(op);
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
answer(struct connection *conn, const struct nbd_request *req, uint32_t error,
       const char *text)
{
  if (connection_is_dead(conn))
    return;
  unsigned char *p = output_reserve(conn, NBD_REPLY_ERROR_MAX);
  if (!p) {
    connection_kill(conn);
    return;
  }
  output_commit(conn, error == 0
                        ? nbd_reply_ok(&conn->session, req, p)
                        : nbd_reply_error(&conn->session, req, error, text, p));
}

void
op_answer(struct op *op, int err)
{
  answer(op->conn, &op->req,
         err ? nbd_error_from_errno(&op->req, err) : NBD_SUCCESS, NULL);
  op_free(op);
}

void
op_sent(struct op *op)
{
  assert(op->pieces > 0);
  if (--op->pieces == 0)
    op_free(op);
}

/* --------------------------------------------------- the simple commands */

static void
finish_simple(struct op *op)
{
  struct connection *conn = op->conn;

  export_reclaim(conn->server->exports, conn->export);
  op_answer(op, op->vr.result);
}

static uint32_t
library_flags(const struct nbd_request *req)
{
  uint32_t flags = 0;

  if (req->flags & NBD_CMD_FLAG_FUA)
    flags |= VHD_FUA;
  if (req->type == NBD_CMD_WRITE_ZEROES) {
    if (req->flags & NBD_CMD_FLAG_NO_HOLE)
      flags |= VHD_NO_HOLE;
    if (req->flags & NBD_CMD_FLAG_FAST_ZERO)
      flags |= VHD_FAST_ZERO;
  }
  return flags;
}

static void
start_and_run(struct op *op, enum vhd_op what, void *data)
{
  const uint64_t off = what == VHD_FLUSH ? 0 : op->req.off;
  const uint64_t len = what == VHD_FLUSH ? 0 : op->req.len;
  const uint32_t flags = what == VHD_FLUSH ? 0 : library_flags(&op->req);
  int r;

  op->finish = finish_simple;
  r = op_start(op, what, off, len, data, flags);
  if (r < 0)
    op_answer(op, r);
  else
    op_run(op);
}

void
op_begin(struct connection *conn, const struct nbd_request *req)
{
  static const enum vhd_op what[] = {
    [NBD_CMD_FLUSH] = VHD_FLUSH,
    [NBD_CMD_TRIM] = VHD_TRIM,
    [NBD_CMD_WRITE_ZEROES] = VHD_ZERO,
  };
  struct op *op = op_new(conn, req);

  if (!op) {
    answer(conn, req, NBD_ENOMEM, NULL);
    return;
  }
  start_and_run(op, what[req->type], NULL);
}

void
op_begin_write(struct connection *conn, const struct nbd_request *req,
               const unsigned char *data, struct buf *input)
{
  struct op *op = op_new(conn, req);

  if (!op) {
    answer(conn, req, NBD_ENOMEM, NULL);
    return;
  }
  if (req->flags & NBD_CMD_FLAG_FUA) {
    /* It will have to wait, and should not keep all of the input until then. */
    op->buf = connection_get_buf(conn, req->len);
    if (!op->buf) {
      op_answer(op, -ENOMEM);
      return;
    }
    memcpy(buf_data(op->buf), data, req->len);
    data = buf_data(op->buf);
  } else {
    op->input = buf_ref(input);
  }
  start_and_run(op, VHD_WRITE, (void *)data);
}

struct op *
op_receive_write(struct connection *conn, const struct nbd_request *req)
{
  struct op *op = op_new(conn, req);

  if (!op)
    return NULL;
  op->buf = connection_get_buf(conn, req->payload_len);
  if (!op->buf) {
    op_free(op);
    return NULL;
  }
  return op;
}

void
op_write_received(struct op *op)
{
  assert(op->got == op->req.payload_len);
  start_and_run(op, VHD_WRITE, buf_data(op->buf));
}
