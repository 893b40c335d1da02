/* SPDX-License-Identifier: BSD-2-Clause */
/* grow.c: a detour of requests that need a slot (space.h): lengthening the
 * runway of an image, or cleaning the one that was found.
 *
 *   grow_begin -> punch what was found -> done
 *   grow_begin -> cut off what a former growth left -> grow_begin
 *   grow_begin -> set space aside -> footer at the new end -> once more,
 *     durably -> wipe the old footer -> done
 *
 * One request at a time is the grower; the others wait for it and then look
 * for a slot anew.
 *
 * The footer is written twice, because a write that fails can be taken back, by
 * cutting the file where it ended, and a sync that fails cannot.  Until it has
 * been cut nothing grows: bytes of that footer would become a block's, and the
 * end of the file might lie behind the next footer. */
#include "config.h"

#include <errno.h>

#include "base/arith.h"
#include "base/rules.h"
#include "image/image.h"
#include "image/request.h"

/* As much as a file system gives at a time. */
#define FOOTER_SPACE 4096

static phase_fn cleaned, reserved, placed, taken_back, durable, wiped;

/* Lets the others try; whoever called looks at the result. */
static enum vhd_step
grow_end(struct vhd_request *req, int result)
{
  struct vhd_image *img = req->image;

  pthread_mutex_lock(&img->top->lock);
  img->space.grower = NULL;
  img->space.syncing = false;
  struct vhd_request *woken = waiters_take(&img->space.waiting, NULL, NULL);
  pthread_mutex_unlock(&img->top->lock);
  waiters_wake(woken);
  machine_of(req)->grow_result = result;
  return request_return(req);
}

/* Where blocks get their space as they are written, the footer needs its own
 * all the same. */
static void
ask_for_space(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct space *s = &img->space;
  uint64_t from = s->end * 512;

  if (!s->reserve)
    from = MAX(from, s->grow_end - FOOTER_SPACE);
  request_add_io(req, img->top->file, VHD_IO_EXTEND, from, s->grow_end - from,
                 NULL, VHD_IO_RESERVE);
}

static void
add_footer(struct vhd_request *req, unsigned flags)
{
  struct space *s = &req->image->space;

  req->nio = 0;
  request_add_io(req, req->image->top->file, VHD_IO_WRITE,
                 s->grow_end - FOOTER_SIZE, FOOTER_SIZE, s->footer, flags);
}

/* Somebody else has done something about it. */
static enum vhd_step
look_again(struct vhd_request *req)
{
  machine_of(req)->grow_result = 0;
  return request_return(req);
}

/* A footer's write failed: whatever it did, the file ends where it did. */
static enum vhd_step
take_back(struct vhd_request *req)
{
  struct vhd_image *img = req->image;

  req->nio = 0;
  request_add_io(req, img->top->file, VHD_IO_TRUNCATE, img->space.file_size, 0,
                 NULL, 0);
  return request_io(req, taken_back);
}

/* The runway has no slot left, or its bytes are not known to be zeros.  One
 * request does something about it, the others wait. */
enum vhd_step
grow_begin(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct space *s = &img->space;

  pthread_mutex_lock(&img->top->lock);
  if (s->grower && s->grower != req)
    return request_park(req, img->top, &s->waiting, NULL, look_again);
  s->grower = req;
  req->nio = 0;
  if (s->dirty && s->next < s->end) {
    request_add_io(req, img->top->file, VHD_IO_PUNCH, s->next * 512,
                   (s->end - s->next) * 512, NULL, 0);
    pthread_mutex_unlock(&img->top->lock);
    return request_io(req, cleaned);
  }
  s->dirty = false;
  if (s->overlong) {
    pthread_mutex_unlock(&img->top->lock);
    machine_of(req)->grow_result = 0;
    return take_back(req);
  }
  int result = space_plan_growth(img);
  if (result == 0)
    ask_for_space(req);
  pthread_mutex_unlock(&img->top->lock);
  return result < 0 ? grow_end(req, result) : request_io(req, reserved);
}

static enum vhd_step
end_alone(struct vhd_request *req)
{
  return request_done(req, machine_of(req)->grow_result);
}

enum vhd_step
grow_alone(struct vhd_request *req)
{
  return request_call(req, grow_begin, end_alone);
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

/* The runway could not be lengthened; perhaps by less it can. */
static enum vhd_step
try_less(struct vhd_request *req, int result)
{
  struct vhd_image *img = req->image;

  pthread_mutex_lock(&img->top->lock);
  bool again = request_lacks_space(result) && space_shorten_step(img);
  pthread_mutex_unlock(&img->top->lock);
  return again ? request_next(req, grow_begin) : grow_end(req, result);
}

static enum vhd_step
reserved(struct vhd_request *req)
{
  int result = request_io_result(req);

  if (result < 0)
    return try_less(req, result);
  add_footer(req, 0);
  return request_io(req, placed);
}

/* The file ends in the new footer, or in the old one. */
static enum vhd_step
placed(struct vhd_request *req)
{
  struct vhd_image *img = req->image;

  machine_of(req)->grow_result = request_io_result(req);
  if (machine_of(req)->grow_result < 0)
    return take_back(req);
  atomic_fetch_add(&img->write_seq, 1);
  if (!RULE(FOOTER))
    return request_next(req, durable);
  pthread_mutex_lock(&img->top->lock);
  img->space.syncing = true;
  pthread_mutex_unlock(&img->top->lock);
  add_footer(req, VHD_IO_DURABLE);
  return request_io(req, durable);
}

/* If it could not be cut, the next growth tries again, or the close does. */
static enum vhd_step
taken_back(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  int cut = request_io_result(req), result = machine_of(req)->grow_result;

  pthread_mutex_lock(&img->top->lock);
  img->space.overlong = cut < 0;
  img->space.touched |= cut < 0;
  pthread_mutex_unlock(&img->top->lock);
  if (cut < 0)
    return grow_end(req, result < 0 ? result : cut);
  return result < 0 ? try_less(req, result) : request_next(req, grow_begin);
}

static enum vhd_step
durable(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  int result = request_io_result(req);
  uint64_t off, len;

  if (result < 0) { /* as after any failed sync */
    if (RULE(FAILED_SYNC))
      atomic_store(&img->failed, result);
    return grow_end(req, result);
  }
  pthread_mutex_lock(&img->top->lock);
  img->space.syncing = false;
  pthread_mutex_unlock(&img->top->lock);
  len = space_old_footer(&img->space, &off);
  req->nio = 0;
  if (len == 0)
    return request_next(req, wiped);
  request_add_io(req, img->top->file, VHD_IO_ZERO, off, len, NULL, 0);
  return request_io(req, wiped);
}

static enum vhd_step
wiped(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  bool good = request_io_result(req) == 0;

  pthread_mutex_lock(&img->top->lock);
  space_grown(img, good);
  pthread_mutex_unlock(&img->top->lock);
  return grow_end(req, 0);
}
