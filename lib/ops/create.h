/* SPDX-License-Identifier: BSD-2-Clause */
/* create.h: new images for other operations.  Blocks; any thread. */
#ifndef OPS_CREATE_H
#define OPS_CREATE_H

#include "vhdkit.h"

/* vhd_create() of a child that takes the name of its parent, to which another
 * name leads, opt->parent, in one rename. */
int create_over_parent(const char *path, const struct vhd_create_options *opt,
                       struct vhd_error *err);

#endif
