/* SPDX-License-Identifier: BSD-2-Clause */
/* progress.h: how far an operation is, for the caller's struct vhd_progress.
 * Part of the operation, which has one thread; owns nothing. */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <stdint.h>

#include "vhdkit.h"

struct progress {
  const struct vhd_progress *to; /* outlives the operation; or NULL */
  const char *path;              /* for the message; outlives it too */
  uint64_t done, total;
};

/* Begins, and tells so.  total: 0 where it is not known yet; it can be set
 * later.  Each of these returns 0, or what the operation is to end with:
 * the value that cancels it, or -EINVAL for what the caller's struct holds. */
int progress_begin(struct progress *p, const struct vhd_progress *to,
                   const char *path, uint64_t total, struct vhd_error *err);

/* So much more is done. */
int progress_add(struct progress *p, uint64_t n, struct vhd_error *err);

/* All is done up to there, if it was not yet. */
int progress_reach(struct progress *p, uint64_t done, struct vhd_error *err);

/* All is done but what cannot be canceled. */
int progress_end(struct progress *p, struct vhd_error *err);

#endif
