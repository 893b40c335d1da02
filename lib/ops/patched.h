/* SPDX-License-Identifier: BSD-2-Clause */
/* patched.h: a file as it would be with some changes, to be read.  It owns the
 * changes, not the file.  One thread. */
#ifndef OPS_PATCHED_H
#define OPS_PATCHED_H

#include <stddef.h>
#include <stdint.h>

#include "store/file.h"

struct patch {
  uint64_t off;
  size_t len;
  uint8_t *bytes;
};

struct patched {
  struct vhd_file file; /* first: the one to read */
  struct vhd_file *below;
  struct patch *patch;  /* none over another */
  size_t n;
};

void patched_init(struct patched *over, struct vhd_file *below);
void patched_free(struct patched *over);
/* The bytes are copied.  0, -ENOMEM, or -EINVAL where some were changed
 * already. */
int patched_add(struct patched *over, const void *bytes, size_t len,
                uint64_t off);

#endif
