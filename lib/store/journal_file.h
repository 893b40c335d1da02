/* SPDX-License-Identifier: BSD-2-Clause */
/* journal_file.h: memory that outlives the process but not the boot, for one
 * image: a mapped file on a tmpfs, named by the image's device, inode and
 * unique id.
 *
 * The file begins with a page that says whose it is and of which boot; the rest
 * is the caller's.  The holder of the image's writer lock is its only user.
 * Blocks; one thread. */
#ifndef STORE_JOURNAL_FILE_H
#define STORE_JOURNAL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/file.h"

struct journal_file {
  void *mem;      /* the caller's part */
  size_t bytes;   /* of it */
  bool left_over; /* a former process of this boot left it */
  void *map;
  char *path;
};

/* Finds or makes the journal of an image.  dir NULL: the usual places (see
 * vhd_open()).  readonly: only an existing one, which stays as it is.  0;
 * -ENOENT if there is none, or no place for one; another -errno with err set.
 * The space is reserved, so that a store into it never fails. */
int journal_file_open(const char *dir, const struct vhd_file *file,
                      const uint8_t *id, size_t bytes, bool readonly,
                      struct journal_file *jf, struct vhd_error *err);

/* Lets go of it; remove: nobody needs it any more. */
void journal_file_close(struct journal_file *jf, bool remove);

#endif
