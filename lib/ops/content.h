/* SPDX-License-Identifier: BSD-2-Clause */
/* content.h: a few bytes that a new image holds from the beginning, written
 * before anybody sees it.  Owns the table of its blocks; one thread. */
#ifndef OPS_CONTENT_H
#define OPS_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#include "ops/blank.h"
#include "vhdkit.h"

struct content {
  const struct vhd_content *part;
  size_t n;
  uint32_t *nth; /* see blank_write_metadata(); NULL: as there */
};

/* Are they in order, and within the disk that is planned?  Finds places for
 * their blocks, and moves the planned end.  content_free() in any case. */
int content_plan(struct content *content, struct blank *plan,
                 const char *path, struct vhd_error *err);
/* Writes them; after the metadata. */
int content_write(const struct content *content, const struct blank *plan,
                  struct newfile *file, struct vhd_error *err);
void content_free(struct content *content);

#endif
