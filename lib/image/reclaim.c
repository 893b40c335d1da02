/* SPDX-License-Identifier: BSD-2-Clause */
/* reclaim.c: giving back the space of slots that blocks have left, a few for
 * each request.  Nobody waits for it: it is a request of its own (VHD_RECLAIM),
 * and a detour of those that find no room for one slot more.
 *
 * A slot is nobody's while it is being punched.  One that could not be punched
 * is free all the same, but dirty, and keeps its space until it is used; so is
 * one that an old request may write to meanwhile. */
#include "config.h"

#include "base/bounds.h"
#include "image/image.h"
#include "image/request.h"

static phase_fn punched;

enum vhd_step
reclaim_begin(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);

  req->nio = 0;
  if (!img->writable)
    return request_return(req);
  pthread_mutex_lock(&img->top->lock);
  while (req->nio < RECLAIM_AT_ONCE &&
         space_begin_reclaim(img, &m->left[req->nio])) {
    uint32_t slot = m->left[req->nio].slot;
    request_add_io(req, img->top->file, VHD_IO_PUNCH, slot * 512ULL,
                   space_slot_bytes(&img->space, slot), NULL,
                   VHD_IO_GIVE_BACK);
  }
  if (req->nio == RECLAIM_AT_ONCE)
    REACHED(BOUND_RECLAIM);
  image_try_advance(img);
  m->left_epoch = img->epoch;
  pthread_mutex_unlock(&img->top->lock);
  return req->nio > 0 ? request_io(req, punched) : request_return(req);
}

static enum vhd_step
punched(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);

  pthread_mutex_lock(&img->top->lock);
  for (unsigned i = 0; i < req->nio; i++) {
    bool quiet = (int32_t)(m->left_epoch - m->left[i].epoch) >= 2;
    space_end_reclaim(img, &m->left[i], req->io[i].result == 0 && quiet);
  }
  pthread_mutex_unlock(&img->top->lock);
  return request_return(req);
}
