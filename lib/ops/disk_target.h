/* SPDX-License-Identifier: BSD-2-Clause */
/* disk_target.h: a disk of the caller's making that takes the content of
 * another.  Written in place, from its beginning to its end, zeros too where it
 * is not known to have some: there is no way back once it has begun.  Owns
 * nothing; one thread. */
#ifndef OPS_DISK_TARGET_H
#define OPS_DISK_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/progress.h"
#include "ops/copy.h"
#include "vhdkit.h"

struct disk_target {
  struct copy_target to; /* first */
  const struct vhd_disk *disk;
  const char *path;
  struct progress *progress;
  uint64_t at; /* up to here it is what it shall be */
  bool blank;  /* all of it was zeros */
};

/* Can it take so many bytes?  overwrite: it may hold something.  Writes
 * nothing. */
int disk_target_begin(struct disk_target *target, const struct vhd_disk *disk,
                      const char *path, uint64_t size, bool overwrite,
                      struct progress *progress, struct vhd_error *err);
/* The rest becomes zeros, and all of it durable. */
int disk_target_end(struct disk_target *target, struct vhd_error *err);

#endif
