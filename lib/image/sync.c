/* SPDX-License-Identifier: BSD-2-Clause */
/* sync.c: the simplest driver of requests: plain system calls in the calling
 * thread. */
#include "config.h"

#include <errno.h>
#include <pthread.h>

#include "image/image.h"
#include "image/request.h"

struct sleeper {
  pthread_mutex_t lock;
  pthread_cond_t cond;
  bool woken;
};

static void
wake_sleeper(struct vhd_request *req)
{
  struct sleeper *w = req->opaque;

  pthread_mutex_lock(&w->lock);
  w->woken = true;
  pthread_cond_signal(&w->cond);
  pthread_mutex_unlock(&w->lock);
}

static void
wait_woken(struct sleeper *w)
{
  pthread_mutex_lock(&w->lock);
  while (!w->woken)
    pthread_cond_wait(&w->cond, &w->lock);
  w->woken = false;
  pthread_mutex_unlock(&w->lock);
}

int
vhd_request_run(struct vhd_request *req)
{
  struct sleeper w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
                      false };
  enum vhd_step step;

  req->wake = wake_sleeper;
  req->opaque = &w;
  while ((step = vhd_request_step(req)) != VHD_STEP_DONE) {
    if (step == VHD_STEP_PARKED) {
      wait_woken(&w);
      continue;
    }
    for (unsigned i = 0; i < req->nio; i++)
      vhd_io_perform(&req->io[i]);
  }
  return req->result;
}

static int
run(struct vhd_image *image, enum vhd_op op, uint64_t off, uint64_t len,
    void *buf, uint32_t flags)
{
  struct vhd_request req;
  int e = vhd_request_start(&req, image, op, off, len, buf, flags);

  if (e < 0)
    return e;
  e = vhd_request_run(&req);
  if (vhd_has_background(image) &&
      vhd_request_start(&req, image, VHD_RECLAIM, 0, 0, NULL, 0) == 0)
    vhd_request_run(&req); /* its share; what is left is for the next */
  return e;
}

int
sync_reclaim(struct vhd_image *image)
{
  int e = 0;

  while (e == 0 && vhd_has_background(image))
    e = run(image, VHD_RECLAIM, 0, 0, NULL, 0);
  return e;
}

int
sync_grow(struct vhd_image *image)
{
  struct vhd_request req;
  int e = vhd_request_start(&req, image, VHD_RECLAIM, 0, 0, NULL, 0);

  if (e < 0)
    return e;
  machine_of(&req)->phase = grow_alone;
  return vhd_request_run(&req);
}

int
vhd_pread(struct vhd_image *image, void *buf, size_t len, uint64_t off)
{
  return run(image, VHD_READ, off, len, buf, 0);
}

int
vhd_pwrite(struct vhd_image *image, const void *buf, size_t len, uint64_t off,
           uint32_t flags)
{
  return run(image, VHD_WRITE, off, len, (void *)buf, flags);
}

int
vhd_zero(struct vhd_image *image, uint64_t len, uint64_t off, uint32_t flags)
{
  return run(image, VHD_ZERO, off, len, NULL, flags);
}

int
vhd_trim(struct vhd_image *image, uint64_t len, uint64_t off, uint32_t flags)
{
  return run(image, VHD_TRIM, off, len, NULL, flags);
}

int
vhd_flush(struct vhd_image *image)
{
  return run(image, VHD_FLUSH, 0, 0, NULL, 0);
}

int
vhd_map(struct vhd_image *image, uint64_t len, uint64_t off,
        struct vhd_run *runs, unsigned *nruns)
{
  struct vhd_request req;
  int e = vhd_request_start(&req, image, VHD_MAP, off, len, NULL, 0);

  if (e < 0)
    return e;
  req.runs = runs;
  req.max_runs = *nruns;
  e = vhd_request_run(&req);
  *nruns = req.nruns;
  return e;
}
