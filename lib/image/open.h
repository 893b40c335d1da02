/* SPDX-License-Identifier: BSD-2-Clause */
/* open.h: making a struct vhd_image of a file, in the steps that vhd_open()
 * takes; the simulator takes them over a file of its own.  Block; one
 * thread. */
#ifndef IMAGE_OPEN_H
#define IMAGE_OPEN_H

#include "image/image.h"

/* All of enum vhd_open_flags. */
#define OPEN_FLAGS                                                          \
  (VHD_OPEN_READONLY | VHD_OPEN_SIZE_CHS | VHD_OPEN_RAW_PARENT |            \
   VHD_OPEN_UNLOCKED | VHD_OPEN_NO_PARENT | VHD_OPEN_RAW)

/* Makes it ready for requests: replays what a killed process left in the
 * journal (NULL: none), which replay_check() has passed unless it is empty, and
 * for a writable image makes durable what is there.  keep: the journal goes on
 * to be used. */
int image_start(struct vhd_image *img, struct journal *journal, bool keep,
                struct vhd_error *err);

/* Opens an image for writing without its parents, so that what a killed process
 * left in the journal comes into its file.  To be closed, and not to be read or
 * written. */
int image_open_alone(const char *path, const struct vhd_open_options *opt,
                     struct vhd_image **image, struct vhd_error *err);

/* Opens the parents of a child that itself cannot be opened; child: see
 * layer_of_child(), which it takes over, also on failure. */
int image_open_parents(struct layer *child, const struct vhd_open_options *opt,
                       struct vhd_image **parent, struct vhd_error *err);

/* What vhd_close() does before that: makes all durable, shrinks the file. */
int image_finish(struct vhd_image *img);

#endif
