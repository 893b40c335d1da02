/* SPDX-License-Identifier: BSD-2-Clause */
/* write.c: see write.h.  All that such a command needs is to be asked of the
 * library's request, and its result to be answered. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "client/command/write.h"
#include "catalog/generation.h"
#include "client/host.h"
#include "client/command/op.h"
#include "client/reply.h"

static void
finish(struct op *op)
{
  struct client *c = op->client;

  if (op->vr.result == 0 && op->vr.op == VHD_WRITE)
    client_has_written(c, op->req.len);
  export_reclaim(c->export);
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

  op->finish = finish;
  op->plain = true;
  r = op_start(op, what, off, len, data, flags);
  if (r < 0)
    op_answer(op, r);
  else
    op_run(op);
}

void
write_begin_other(struct client *c, const struct nbd_request *req)
{
  static const enum vhd_op what[] = {
    [NBD_CMD_FLUSH] = VHD_FLUSH,
    [NBD_CMD_TRIM] = VHD_TRIM,
    [NBD_CMD_WRITE_ZEROES] = VHD_ZERO,
  };
  struct op *op = op_new(c, req);

  if (!op) {
    reply_error(c, req, NBD_ENOMEM, NULL);
    return;
  }
  start_and_run(op, what[req->type], NULL);
}

void
write_begin(struct client *c, const struct nbd_request *req,
            const unsigned char *data, struct buf *input)
{
  struct op *op = op_new(c, req);

  if (!op) {
    reply_error(c, req, NBD_ENOMEM, NULL);
    return;
  }
  if (req->flags & NBD_CMD_FLAG_FUA) {
    /* It will have to wait, and should not keep all of the input until then. */
    op->buf = budget_get(&c->account, req->len);
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

void
write_begin_with(struct client *c, const struct nbd_request *req,
                 struct buf *buf)
{
  struct op *op = op_new(c, req);

  if (!op) {
    budget_put(&c->account, buf);
    reply_error(c, req, NBD_ENOMEM, NULL);
    return;
  }
  op->buf = buf;
  start_and_run(op, VHD_WRITE, buf_data(buf));
}
