/* SPDX-License-Identifier: BSD-2-Clause */
/* cache.c: CACHE, a hint: a walk over the map, one window of runs after the
 * other, each of which is read ahead on a thread. */
#include "config.h"

#include <fcntl.h>

#include "client/command/cache.h"
#include "catalog/generation.h"
#include "client/command/op.h"
#include "client/reply.h"

/* No further ahead than this. */
#define CACHE_MAX (UINT64_C(256) << 20)

/* On a thread: reading ahead waits while the disk's queue is full. */
static void
run_cache(struct io_work *work)
{
  struct op *op = OP_OF(work, work);

  for (unsigned i = 0; i < op->vr.nruns; i++) {
    const struct vhd_run *run = &op->runs[i];
    if (run->kind == VHD_RUN_DATA && run->fd >= 0)
      posix_fadvise(run->fd, (off_t)run->file_off, (off_t)run->len,
                    POSIX_FADV_WILLNEED);
  }
  loop_post(op->client->loop, &op->worked);
}

static void
finish_cache_map(struct op *op)
{
  if (client_has_failed(op->client) || op->vr.result < 0 ||
      op->vr.nruns == 0) {
    op_answer(op, op->vr.result);
    return;
  }
  for (unsigned i = 0; i < op->vr.nruns; i++)
    op->got += op->runs[i].len;
  op_suspend(op);
  op->work.run = run_cache;
  io_queue_run(op->client->export->queue, &op->work);
}

static void
cache_window(struct op *op)
{
  const int r = op_start(op, VHD_MAP, op->req.off + op->got,
                         op->req.len - op->got, NULL, VHD_PIN);
  if (r < 0) {
    op_answer(op, r);
    return;
  }
  op->vr.runs = op->runs;
  op->vr.max_runs = OP_RUNS;
  op->finish = finish_cache_map;
  op_run(op);
}

static void
on_cached(struct task *task)
{
  struct op *op = OP_OF(task, worked);

  op_end(op);
  if (op->got >= op->req.len || op->got >= CACHE_MAX ||
      client_has_failed(op->client))
    op_answer(op, 0);
  else
    cache_window(op);
}

void
cache_begin(struct client *c, const struct nbd_request *req)
{
  struct op *op = NULL;

  if (req->len > 0)
    op = op_new(c, req);
  if (!op) { /* a hint */
    reply_ok(c, req);
    return;
  }
  op->worked.run = on_cached;
  cache_window(op);
}
