/* SPDX-License-Identifier: BSD-2-Clause */
/* crew.c: see crew.h. */
#include "config.h"

#include <sys/resource.h>
#include <unistd.h>

#include "unit/crew.h"
#include "unit/unit.h"

static void
wake(struct vhd_request *req)
{
  struct hand *h = req->opaque;

  h->state = HAND_READY;
}

void
hand_start(struct hand *h, struct vhd_image *image, enum vhd_op op,
           uint64_t off, uint64_t len, void *buf, uint32_t flags)
{
  assert_int_equal(
    vhd_request_start(&h->req, image, op, off, len, buf, flags), 0);
  h->req.wake = wake;
  h->req.opaque = h;
  h->state = HAND_READY;
}

void
hand_step(struct hand *h)
{
  if (h->state != HAND_READY)
    return;
  h->state = HAND_PARKED; /* a wake may come before the step returns */
  switch (vhd_request_step(&h->req)) {
  case VHD_STEP_DONE:
    h->state = HAND_DONE;
    break;
  case VHD_STEP_IO:
    h->state = HAND_WAITS;
    break;
  case VHD_STEP_PARKED:
    break;
  }
}

void
hand_perform(struct hand *h)
{
  if (h->state != HAND_WAITS)
    return;
  for (unsigned i = 0; i < h->req.nio; i++)
    vhd_io_perform(&h->req.io[i]);
  h->state = HAND_READY;
}

void
hand_go(struct hand *h)
{
  while (h->state == HAND_READY || h->state == HAND_WAITS) {
    hand_step(h);
    hand_perform(h);
  }
}

void
crew_work(struct hand *h, unsigned n)
{
  for (;;) {
    unsigned left = 0, ready = 0, at = n;
    for (unsigned i = 0; i < n; i++)
      hand_step(&h[i]);
    for (unsigned i = 0; i < n; i++) {
      left += h[i].state != HAND_DONE;
      ready += h[i].state == HAND_READY;
      at = h[i].state == HAND_WAITS ? i : at;
    }
    if (left == 0)
      return;
    if (at < n)
      hand_perform(&h[at]);
    else if (ready == 0)
      fail_msg("%u requests wait for each other", left);
  }
}

void
crew_bound_cpu(unsigned seconds)
{
  struct rlimit limit = { seconds, seconds };

  assert_int_equal(setrlimit(RLIMIT_CPU, &limit), 0);
}

struct vhd_image *
crew_open(const char *path, const char *parent, uint64_t size,
          uint32_t block_size)
{
  struct vhd_create_options create = {
    .size = size, .block_size = block_size, .parent = parent,
  };
  struct vhd_image *image;
  struct vhd_error err;

  unlink(path);
  if (vhd_create(path, &create, &err) < 0 ||
      vhd_open(path, NULL, &image, &err) < 0)
    fail_msg("%s", err.message);
  return image;
}
