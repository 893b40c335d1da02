/* SPDX-License-Identifier: BSD-2-Clause */
/* status.c: BLOCK_STATUS: a walk over the map.
 *
 * A walk takes one window of runs after the other and ends early where the
 * range is so fragmented that others would wait: an answer may be shorter than
 * the question. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "client/command/status.h"
#include "client/command/op.h"
#include "client/reply.h"
#include "nbd/extents.h"
#include "nbd/reply.h"

#define WINDOW_RUNS 512
#define MAX_WINDOWS 16
#define MAX_EXTENTS 4096
#define CHUNK_SIZE NBD_STATUS_SIZE(MAX_EXTENTS)

/* In the op's buffer. */
struct walk {
  unsigned n; /* contexts */
  uint8_t id[NBD_NCONTEXTS];
  bool full[NBD_NCONTEXTS];
  struct nbd_status status[NBD_NCONTEXTS];
  struct vhd_run runs[WINDOW_RUNS];
  unsigned char chunks[];
};

static struct walk *
walk_of(struct op *op)
{
  return (struct walk *)buf_data(op->buf);
}

static int
start_window(struct op *op)
{
  struct walk *walk = walk_of(op);
  const int r = op_start(op, VHD_MAP, op->req.off + op->got,
                         op->req.len - op->got, NULL, 0);
  if (r < 0)
    return r;
  op->vr.runs = walk->runs;
  op->vr.max_runs = WINDOW_RUNS;
  return 0;
}

/* Puts the chunks behind each other and sends them. */
static void
send_chunks(struct op *op)
{
  struct client *c = op->client;
  struct walk *walk = walk_of(op);
  struct buf *buf = op->buf;
  size_t total = 0;

  for (unsigned i = 0; i < walk->n; i++) {
    const size_t n = nbd_status_end(&walk->status[i], i + 1 == walk->n);
    if (n == 0) {
      op_answer(op, -EIO);
      return;
    }
    memmove(walk->chunks + total, walk->chunks + i * CHUNK_SIZE, n);
    total += n;
  }

  /* Short answers, which most are, need not keep the buffer. */
  if (total <= BUF_PAGE) {
    unsigned char *p = send_reserve(&c->send, total);
    if (p) {
      memcpy(p, walk->chunks, total);
      send_commit(&c->send, total);
    } else {
      client_fail(c, "no memory for a reply");
    }
  } else {
    op->buf = NULL;
    if (!send_buf(&c->send, buf, walk->chunks, total))
      client_fail(c, "no memory for a reply");
  }
  op_free(op);
}

/* Returns whether anybody wants more. */
static bool
add_run(struct walk *walk, const struct vhd_run *run)
{
  const bool hole = run->kind == VHD_RUN_HOLE;
  const bool zero = run->kind != VHD_RUN_DATA;
  bool more = false;

  for (unsigned i = 0; i < walk->n; i++) {
    if (!walk->full[i])
      walk->full[i] =
        !nbd_status_add(&walk->status[i], run->len,
                        nbd_context_flags((enum nbd_context)walk->id[i], hole,
                                          zero, run->depth));
    more |= !walk->full[i];
  }
  return more;
}

static void
finish_window(struct op *op)
{
  struct walk *walk = walk_of(op);
  bool more = true;

  if (client_has_failed(op->client)) {
    op_free(op);
    return;
  }
  if (op->vr.result < 0 || op->vr.nruns == 0) {
    op_answer(op, op->vr.result < 0 ? op->vr.result : -EIO);
    return;
  }
  for (unsigned i = 0; i < op->vr.nruns && more; i++) {
    op->got += walk->runs[i].len;
    more = add_run(walk, &walk->runs[i]);
  }
  if (!more || op->got >= op->req.len || ++op->run >= MAX_WINDOWS) {
    send_chunks(op);
    return;
  }
  const int r = start_window(op);
  if (r < 0)
    op_answer(op, r);
  else
    op_later(op);
}

void
status_begin(struct client *c, const struct nbd_request *req)
{
  struct op *op = op_new(c, req);

  if (!op) {
    reply_error(c, req, NBD_ENOMEM, NULL);
    return;
  }
  const unsigned n = (unsigned)__builtin_popcount(req->contexts);
  op->buf = budget_get(&c->account, sizeof(struct walk) + n * CHUNK_SIZE);
  if (!op->buf) {
    op_answer(op, -ENOMEM);
    return;
  }
  struct walk *walk = walk_of(op);
  walk->n = 0;
  for (unsigned id = 1; id <= NBD_NCONTEXTS; id++) {
    if (!(req->contexts & NBD_CONTEXT_BIT(id)))
      continue;
    const unsigned i = walk->n++;
    walk->id[i] = (uint8_t)id;
    walk->full[i] = false;
    nbd_status_begin(&walk->status[i], &c->session, &op->req,
                     (enum nbd_context)id, walk->chunks + i * CHUNK_SIZE,
                     CHUNK_SIZE);
  }
  op->run = 0;
  op->finish = finish_window;
  const int r = walk->n > 0 ? start_window(op) : -EINVAL;
  if (r < 0)
    op_answer(op, r);
  else
    op_run(op);
}
