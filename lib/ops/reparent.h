/* SPDX-License-Identifier: BSD-2-Clause */
/* reparent.h: has a child name another parent, or the same elsewhere.  Part of
 * an edit; owns nothing. */
#ifndef OPS_REPARENT_H
#define OPS_REPARENT_H

#include "ops/edit.h"
#include "ops/parent_ref.h"

enum reparent_how {
  /* The child reads as it did: its own children see no change. */
  REPARENT_SAME_DISK = 1 << 0,
  /* It is the parent that the child has, and only lies elsewhere: when that was
   * last changed stays recorded as it was. */
  REPARENT_MOVED = 1 << 1,
  /* The edit's footer was changed, and is written too. */
  REPARENT_FOOTERS = 1 << 2,
};

/* Changes in one step what the child says of its parent: `path`, opened as info
 * says.  Locators of the kinds that it has are written where they lie if there
 * is room, else at the end of the file; those of kinds that nobody writes any
 * more go.  how: enum reparent_how. */
int reparent(struct edit *edit, const char *path, const struct vhd_info *info,
             unsigned how, struct vhd_error *err);

#endif
