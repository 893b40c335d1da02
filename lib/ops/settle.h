/* SPDX-License-Identifier: BSD-2-Clause */
/* settle.h: what a killed program left of an image in memory alone is written
 * down, before something is built upon it.  Blocks; any thread. */
#ifndef OPS_SETTLE_H
#define OPS_SETTLE_H

#include "vhdkit.h"

/* Makes it part of the image, wherever its parents are; the file keeps the time
 * of its last change.  .flags of opt do not count. */
int settle_image(const char *path, const struct vhd_open_options *opt,
                 struct vhd_error *err);

/* Opens for reading an image that is to be a parent: what a child builds upon
 * must not go with the next power cut. */
int settle_open_parent(const char *path, const struct vhd_open_options *opt,
                       struct vhd_image **parent, struct vhd_error *err);

#endif
