/* SPDX-License-Identifier: BSD-2-Clause */
/* copy.h: the one loop that takes a disk's content out of an image: holes are
 * not read, and zeros that were read are passed over.  Takes COPY_CHUNK bytes
 * of memory whatever the size.  One thread. */
#ifndef OPS_COPY_H
#define OPS_COPY_H

#include <stddef.h>
#include <stdint.h>

#include "base/progress.h"
#include "vhdkit.h"

#define COPY_CHUNK (256U << 10)

struct copy_target {
  /* Takes data; offsets only grow.  What it never gets is zeros.  0 or -errno
   * with err set. */
  int (*write)(struct copy_target *to, const void *buf, size_t len,
               uint64_t off, struct vhd_error *err);
};

/* The stretches of buf that are not zeros. */
int copy_data(struct copy_target *to, const uint8_t *buf, size_t len,
              uint64_t off, struct vhd_error *err);

/* All of the image's disk.  The progress grows by its size. */
int copy_disk(struct vhd_image *image, struct copy_target *to,
              struct progress *progress, struct vhd_error *err);

#endif
