/* SPDX-License-Identifier: BSD-2-Clause */
/* round.c: making durable what rests upon no metadata that the disk lacks: that
 * takes one sync, and no commit.
 *
 * One request leads a round, those that come before its sync begins join it.
 * Rounds are independent of each other and of a commit, for a sync makes
 * durable whatever was completed before it: so ROUNDS_MAX of them may be under
 * way at once, which many disks do in the time of one.  It is the driver's to
 * say when a leader goes on, and thereby how many there are.
 *
 * Invariants, besides those of commit.h:
 *   1. Who joins a round has its data written before the round's sync begins.
 *   2. A round that was under way when a sync failed is no good, unless its own
 *      sync had ended: files tell each of their syncs (store/file.h). */
#include "config.h"

#include "base/arith.h"
#include "base/rules.h"
#include "image/image.h"
#include "image/request.h"

static phase_fn begin, synced, settled, joined;

/* It is over for this request; after a failed sync no other is good, whoever
 * heard of the failure. */
static enum vhd_step
leave(struct vhd_request *req, int result)
{
  if (result == 0)
    result = atomic_load(&req->image->failed);
  return result < 0 ? request_done(req, result) : request_return(req);
}

static enum vhd_step
joined(struct vhd_request *req)
{
  return leave(req, machine_of(req)->round_result);
}

enum vhd_step
request_join_round(struct vhd_request *req, phase_fn *back)
{
  struct layer *top = req->image->top;
  struct commit *c = &req->image->commit;

  request_call(req, begin, back);
  if (c->gatherer)
    return request_park(req, top, &machine_of(c->gatherer)->joined, NULL,
                        joined);
  c->gatherer = req;
  machine_of(req)->joined = (struct waiters){ NULL };
  pthread_mutex_unlock(&top->lock);
  return request_step_back(req, begin);
}

static enum vhd_step
begin(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct commit *c = &img->commit;

  req->leads = false;
  pthread_mutex_lock(&img->top->lock);
  if (c->nrounds >= ROUNDS_MAX) {
    REACHED(BOUND_ROUNDS);
    return request_park(req, img->top, &c->rounds_waiting, NULL, begin);
  }
  c->nrounds++;
  c->gatherer = NULL;
  machine_of(req)->round_seq = atomic_load(&img->write_seq);
  pthread_mutex_unlock(&img->top->lock);
  req->nio = 0;
  request_add_io(req, img->top->file, VHD_IO_SYNC, 0, 0, NULL, 0);
  return request_io(req, synced);
}

static enum vhd_step
finish(struct vhd_request *req, int result)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);
  struct commit *c = &img->commit;

  pthread_mutex_lock(&img->top->lock);
  c->nrounds--;
  if (result == 0)
    c->synced_seq = MAX(c->synced_seq, m->round_seq);
  struct vhd_request *woken = waiters_take(&m->joined, NULL, NULL);
  for (struct vhd_request *w = woken; w; w = machine_of(w)->waiter.next)
    machine_of(w)->round_result = result;
  woken = waiters_take(&c->rounds_waiting, NULL, woken);
  pthread_mutex_unlock(&img->top->lock);
  waiters_wake(woken);
  return leave(req, result);
}

static enum vhd_step
settled(struct vhd_request *req)
{
  return finish(req, atomic_load(&req->image->failed));
}

/* As with a commit's sync, a footer's durable write may have been told of a
 * failure instead. */
static enum vhd_step
synced(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  int result = request_io_result(req);

  if (result < 0 && RULE(FAILED_SYNC))
    atomic_store(&img->failed, result);
  pthread_mutex_lock(&img->top->lock);
  if (result == 0 && img->space.syncing)
    return request_park(req, img->top, &img->space.waiting, NULL, settled);
  pthread_mutex_unlock(&img->top->lock);
  return finish(req, result);
}
