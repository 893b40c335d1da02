/* SPDX-License-Identifier: BSD-2-Clause */
/* children.h: the images that are lost when another is lost.  Blocks; any
 * thread. */
#ifndef OPS_CHILDREN_H
#define OPS_CHILDREN_H

#include "store/file.h"
#include "vhdkit.h"

/* Calls found with each image beside a file whose parent that is, until it
 * returns not 0.  What it returned, 0, also where the file is no image, or
 * -errno. */
int children_beside(struct vhd_file *file,
                    int (*found)(void *opaque, const char *path),
                    void *opaque);

/* Refuses to have a file replaced while an image beside it says that it is its
 * parent.  0, also where it is no image; or -EBUSY with err set. */
int children_refuse_loss(struct vhd_file *file, struct vhd_error *err);

#endif
