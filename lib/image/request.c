/* SPDX-License-Identifier: BSD-2-Clause */
/* request.c: beginning a request: which phases carry out which operation. */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/arith.h"
#include "image/image.h"
#include "image/request.h"

static enum vhd_step
end_flush(struct vhd_request *req)
{
  return request_done(req, 0);
}

static enum vhd_step
flush_begin(struct vhd_request *req)
{
  return request_durable(req, end_flush);
}

static enum vhd_step
reclaim_only(struct vhd_request *req)
{
  return request_call(req, reclaim_begin, end_flush);
}

static const struct {
  phase_fn *fixed, *sparse;
  uint32_t flags;    /* that it knows */
  bool writes;
  int past_end;      /* error for a range beyond the disk */
} ops[] = {
  [VHD_READ] = { read_gather, read_gather, 0, false, -EINVAL },
  [VHD_WRITE] = { fixed_change, change_begin, VHD_FUA, true, -ENOSPC },
  [VHD_ZERO] = { fixed_change, change_begin,
                 VHD_FUA | VHD_NO_HOLE | VHD_FAST_ZERO, true, -ENOSPC },
  [VHD_TRIM] = { fixed_change, change_begin, VHD_FUA, true, -EINVAL },
  [VHD_FLUSH] = { flush_begin, flush_begin, 0, false, -EINVAL },
  [VHD_RECLAIM] = { end_flush, reclaim_only, 0, false, -EINVAL },
  [VHD_MAP] = { map_gather, map_gather, VHD_PIN | VHD_ONE_RUN, false,
                -EINVAL },
};

/* Can the file do what a zero with these flags is to be? */
static bool
is_quick(const struct vhd_file *file, uint32_t flags)
{
  return flags & VHD_NO_HOLE ? file->can_zero : file->can_punch;
}

int
vhd_request_start(struct vhd_request *req, struct vhd_image *image,
                  enum vhd_op op, uint64_t off, uint64_t len, void *buf,
                  uint32_t flags)
{
  struct machine *m = machine_of(req);

  if ((unsigned)op >= sizeof ops / sizeof *ops ||
      (flags & ~ops[op].flags) != 0)
    return -EINVAL;
  if (image->orphan)
    return -EINVAL;
  if (!range_fits(off, len, atomic_load(&image->size)))
    return ops[op].past_end;
  if (ops[op].writes && !image->writable)
    return -EROFS;
  if (flags & VHD_FAST_ZERO && !is_quick(image->top->file, flags))
    return -ENOTSUP;
  req->image = image;
  req->op = (uint8_t)op;
  req->leads = false;
  req->flags = flags;
  req->off = off;
  req->len = len;
  req->buf = buf;
  req->runs = NULL;
  req->max_runs = 0;
  req->nruns = 0;
  req->nio = 0;
  req->result = 0;
  memset(req->reserved, 0, sizeof req->reserved);
  m->phase = image->top->fixed ? ops[op].fixed : ops[op].sparse;
  m->pos = off;
  /* At once, which takes half the stores of one by one. */
  memset((char *)m + offsetof(struct machine, release), 0,
         offsetof(struct machine, pos) - offsetof(struct machine, release));
  return 0;
}

bool
vhd_has_background(const struct vhd_image *image)
{
  return atomic_load_explicit(&image->background, memory_order_relaxed);
}
