/* SPDX-License-Identifier: BSD-2-Clause */
/* grow.c: lengthening the runway of an image, or cleaning the one that was
 * found; a detour of the requests in change.c that need a slot (see space.h).
 *
 *   runway_grow -> punch what was found -> done
 *   runway_grow -> extend the file -> footer at its new end -> [sync] -> done
 *
 * One request at a time is the grower; the others wait for it and then look
 * for a slot anew. */
#include "config.h"

#include <errno.h>

#include "image/image.h"
#include "image/request.h"

static phase_fn cleaned, extended, footer_written, footer_synced;

/* Lets the others try, and goes on or fails. */
static enum vhd_step
grow_end(struct vhd_request *req, int result)
{
  struct vhd_image *img = req->image;

  pthread_mutex_lock(&img->top->lock);
  img->space.grower = NULL;
  struct vhd_request *woken = layer_unpark(img->top, &img->space);
  pthread_mutex_unlock(&img->top->lock);
  request_wake(woken);
  return result < 0 ? request_done(req, result)
                    : request_next(req, change_gather);
}

/* The runway has no slot left, or its bytes are not known to be zeros.  One
 * request does something about it, the others wait. */
enum vhd_step
runway_grow(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct space *s = &img->space;

  pthread_mutex_lock(&img->top->lock);
  if (s->grower && s->grower != req)
    return request_park(req, img->top, s, change_gather);
  s->grower = req;
  req->nio = 0;
  if (s->dirty && s->next < s->end) {
    request_add_io(req, img->top->file, VHD_IO_PUNCH, s->next * 512,
                   (s->end - s->next) * 512, NULL, 0);
    pthread_mutex_unlock(&img->top->lock);
    return request_io(req, cleaned);
  }
  s->dirty = false;
  int result = space_plan_growth(img);
  if (result == 0)
    request_add_io(req, img->top->file, VHD_IO_EXTEND, s->end * 512,
                   s->grow_end - s->end * 512, NULL,
                   s->reserve ? VHD_IO_RESERVE : 0);
  pthread_mutex_unlock(&img->top->lock);
  return result < 0 ? grow_end(req, result) : request_io(req, extended);
}

static enum vhd_step
cleaned(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  int result = request_io_result(req);

  pthread_mutex_lock(&img->top->lock);
  img->space.dirty = result < 0;
  pthread_mutex_unlock(&img->top->lock);
  return grow_end(req, result);
}

static enum vhd_step
extended(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct space *s = &img->space;
  int result = request_io_result(req);

  if (result < 0) {
    pthread_mutex_lock(&img->top->lock);
    bool again = result == -ENOSPC && space_shorten_step(img);
    pthread_mutex_unlock(&img->top->lock);
    return again ? request_next(req, runway_grow) : grow_end(req, result);
  }
  req->nio = 0;
  request_add_io(req, img->top->file, VHD_IO_WRITE, s->grow_end - FOOTER_SIZE,
                 FOOTER_SIZE, s->footer, 0);
  return request_io(req, footer_written);
}

/* Where little else waits to be written, a sync costs little, and the first
 * slot need not be left out because it covers the old footer. */
static enum vhd_step
footer_written(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  int result = request_io_result(req);

  if (result < 0)
    return grow_end(req, result);
  pthread_mutex_lock(&img->top->lock);
  bool quiet = img->commit.synced_seq == atomic_load(&img->write_seq);
  atomic_fetch_add(&img->write_seq, 1);
  if (!quiet)
    space_grown(img, false);
  pthread_mutex_unlock(&img->top->lock);
  if (!quiet)
    return grow_end(req, 0);
  req->nio = 0;
  request_add_io(req, img->top->file, VHD_IO_SYNC, 0, 0, NULL, 0);
  return request_io(req, footer_synced);
}

static enum vhd_step
footer_synced(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  int result = request_io_result(req);

  if (result < 0)
    atomic_store(&img->failed, result);
  pthread_mutex_lock(&img->top->lock);
  if (result == 0)
    space_grown(img, true);
  pthread_mutex_unlock(&img->top->lock);
  return grow_end(req, result);
}
