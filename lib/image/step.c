/* SPDX-License-Identifier: BSD-2-Clause */
/* step.c: what all phases of a request use (request.h): the ways to end one,
 * waiting and waking, and the loop that runs them. */
#include "config.h"

#include <assert.h>

#include "base/arith.h"
#include "image/image.h"
#include "image/request.h"

enum vhd_step
request_call(struct vhd_request *req, phase_fn *phase, phase_fn *back)
{
  struct machine *m = machine_of(req);

  assert(m->depth < REQUEST_DEPTH);
  m->back[m->depth++] = back;
  m->phase = phase;
  return STEP_NEXT;
}

enum vhd_step
request_return(struct vhd_request *req)
{
  struct machine *m = machine_of(req);

  assert(m->depth > 0);
  m->phase = m->back[--m->depth];
  return STEP_NEXT;
}

/* Bytes have been changed, and the file's mtime with them, for certain: not
 * each file system dates it when bytes are taken away, past the end or where
 * there are none. */
static inline bool
has_written(const struct vhd_request *req)
{
  for (unsigned i = 0; i < req->nio; i++)
    if (req->io[i].kind == VHD_IO_WRITE && req->io[i].result == 0)
      return true;
  return false;
}

static inline void
end_change(struct vhd_request *req)
{
  struct machine *m = machine_of(req);

  journal_end(req->image->pulse, m->begun, has_written(req));
  m->begun = 0;
}

enum vhd_step
request_park(struct vhd_request *req, struct layer *layer,
             struct waiters *queue, const void *key, phase_fn *again)
{
  machine_of(req)->phase = again;
  waiters_add(queue, req, key);
  pthread_mutex_unlock(&layer->lock);
  return VHD_STEP_PARKED;
}

/* Who waits says so before he looks; the one who leaves looks after he has
 * left. */
enum vhd_step
request_wait_epoch(struct vhd_request *req, phase_fn *again)
{
  struct vhd_image *img = req->image;

  atomic_store(&img->epoch_awaited, true);
  if (atomic_load(&img->inflight[(img->epoch + 1) & 1]) > 0)
    return request_park(req, img->top, &img->epoch_waiting, NULL, again);
  pthread_mutex_unlock(&img->top->lock);
  return request_next(req, again);
}

enum vhd_step
vhd_request_step(struct vhd_request *req)
{
  struct machine *m = machine_of(req);
  enum vhd_step step;

  if (m->begun)
    end_change(req);
  do {
    assert(m->phase);
    step = m->phase(req);
  } while (step == STEP_NEXT && m->phase);
  if (step != STEP_BACK)
    return step;
  req->wake(req); /* from here on somebody else may step it */
  return VHD_STEP_PARKED;
}
