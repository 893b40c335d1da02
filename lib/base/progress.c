/* SPDX-License-Identifier: BSD-2-Clause */
/* progress.c: see progress.h. */
#include "config.h"

#include <errno.h>
#include <stddef.h>

#include "base/arith.h"
#include "base/error.h"
#include "base/progress.h"

static int
tell(struct progress *p, struct vhd_error *err)
{
  if (p->to == NULL || p->to->report == NULL)
    return 0;
  if (p->total != 0)
    p->total = MAX(p->total, p->done);
  const int r = p->to->report(p->to->opaque, p->done, p->total);
  return r == 0 ? 0 : vhd_fail(err, VHD_CANCELED, r < 0 ? -r : ECANCELED,
                               "%s: canceled", p->path);
}

int
progress_begin(struct progress *p, const struct vhd_progress *to,
               const char *path, uint64_t total, struct vhd_error *err)
{
  *p = (struct progress){ .to = to, .path = path, .total = total };
  int r = to == NULL ? 0 : CHECK_ROOM(to, path, err);
  return r < 0 ? r : tell(p, err);
}

int
progress_add(struct progress *p, uint64_t n, struct vhd_error *err)
{
  p->done += n;
  return tell(p, err);
}

int
progress_reach(struct progress *p, uint64_t done, struct vhd_error *err)
{
  return done > p->done ? progress_add(p, done - p->done, err) : 0;
}

int
progress_end(struct progress *p, struct vhd_error *err)
{
  p->total = MAX(p->total, p->done);
  p->done = p->total;
  return tell(p, err);
}
