/* SPDX-License-Identifier: BSD-2-Clause */
/* parent.h: finding the parent that a child names.
 *
 * What the child stores is hostile: a candidate must be a regular file below an
 * allowed root, links resolved, before it is opened.  Blocks; one thread. */
#ifndef IMAGE_PARENT_H
#define IMAGE_PARENT_H

#include "image/image.h"

/* What a whole chain is opened with. */
struct chain {
  char **roots;  /* canonical paths */
  size_t nroots;
  uint32_t flags;
};

/* Calls try for each path where the parent may be, in the order: relative
 * locators, the stored name beside the child, absolute locators; until it
 * returns not -ENOENT.  try gets a canonical path.  Its error stands in err; if
 * nothing was found, err says where was looked. */
int parent_find(const struct vhd_image *child, const struct chain *chain,
                int (*try)(void *opaque, const char *path,
                           struct vhd_error *err),
                void *opaque, struct vhd_error *err);

/* The last part of the name that the child stores, UTF-8, malloc()ed. */
char *parent_stored_name(const struct header *header);

#endif
