/* SPDX-License-Identifier: BSD-2-Clause */
/* reparent.h: has a child name another parent, or the same elsewhere.  Part of
 * an edit; owns nothing. */
#ifndef OPS_REPARENT_H
#define OPS_REPARENT_H

#include "ops/edit.h"
#include "ops/parent_ref.h"

/* Changes in one step what the child says of its parent: `path`, opened as info
 * says.  Locators of the kinds that it has are written where they lie if there
 * is room, else at the end of the file; those of kinds that nobody writes any
 * more go.  same: the child reads as it did, so that its own children see no
 * change. */
int reparent(struct edit *edit, const char *path, const struct vhd_info *info,
             bool same, struct vhd_error *err);

#endif
