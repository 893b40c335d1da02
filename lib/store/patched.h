/* SPDX-License-Identifier: BSD-2-Clause */
/* patched.h: a file as it would be with some changes, to be read.  It owns the
 * changes, not the file.  Filled by one thread; then read by any. */
#ifndef STORE_PATCHED_H
#define STORE_PATCHED_H

#include <stddef.h>
#include <stdint.h>

#include "store/file.h"

struct patch {
  uint64_t off, len;
  uint8_t *bytes; /* NULL: zeros */
};

struct patched {
  struct vhd_file file; /* first: the one to read */
  struct vhd_file *below;
  struct patch *patch;  /* in order, none over another */
  size_t n, room;
  uint64_t least;       /* the file has at least so many bytes */
};

void patched_init(struct patched *over, struct vhd_file *below);
void patched_free(struct patched *over);
/* The bytes are copied.  0, -ENOMEM, or -EINVAL where some were changed
 * already. */
int patched_add(struct patched *over, const void *bytes, uint64_t len,
                uint64_t off);
/* The same, but what was changed before is changed again; bytes may be NULL:
 * zeros.  0 or -ENOMEM. */
int patched_change(struct patched *over, const void *bytes, uint64_t len,
                   uint64_t off);

#endif
