/* SPDX-License-Identifier: BSD-2-Clause */
/* target.h: a new file that takes the content of a disk: raw, fixed or dynamic,
 * whole and durable under its name at the end, or not there at all.
 *
 *   target_prepare, target_open, target_begin,
 *   .to.write for each stretch that has data, from the beginning to the end,
 *   target_end, target_commit;
 *
 * target_free in any case after target_prepare.  One thread. */
#ifndef OPS_TARGET_H
#define OPS_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/progress.h"
#include "ops/blank.h"
#include "ops/copy.h"
#include "store/newfile.h"
#include "vhdkit.h"

struct target {
  struct copy_target to; /* first */
  struct newfile file;
  enum vhd_type type;
  uint64_t size;
  bool full;
  struct blank plan;     /* but for raw */
  /* Dynamic. */
  uint32_t *nth;         /* see blank_write_metadata() */
  uint32_t nused;
  uint8_t *ones;         /* a bitmap */
  uint8_t *zeros;        /* a block, where the target is full */
};

/* What it is to be, as struct vhd_convert_options has it. */
struct target_wish {
  enum vhd_type type;
  uint64_t size;
  uint32_t block_size;
  uint32_t flags; /* enum vhd_convert_flags, but for _OVERWRITE */
};

/* Can it be?  source: size of the disk that it takes.  Makes nothing. */
int target_prepare(struct target *target, const char *path,
                   const struct target_wish *wish, uint64_t source,
                   struct vhd_error *err);

int target_open(struct target *target, const char *path, bool overwrite,
                struct vhd_error *err);
/* What is read must not be what is replaced.  Locks see to that, but not where
 * it is read without one (VHD_OPEN_UNLOCKED).  To be called once the target is
 * open, for a file, or for those of a whole image, which may be NULL. */
int target_refuse_file(const struct target *target,
                       const struct vhd_file *file, struct vhd_error *err);
int target_refuse_image(const struct target *target,
                        const struct vhd_image *image, struct vhd_error *err);
/* By how much the progress of target_begin() grows. */
uint64_t target_work(const struct target *target);
int target_begin(struct target *target, struct progress *progress,
                 struct vhd_error *err);
/* Its metadata. */
int target_end(struct target *target, struct vhd_error *err);
int target_commit(struct target *target, struct vhd_error *err);
void target_free(struct target *target);

#endif
