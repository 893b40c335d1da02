/* SPDX-License-Identifier: BSD-2-Clause */
/* image.h: opening images for a verb, with the options that all such verbs
 * share. */
#ifndef TOOL_IMAGE_H
#define TOOL_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "options.h"
#include "vhdkit.h"

/* --root */
extern const struct option_spec root_options[];
/* --size-chs, --raw-parent: how images are to be understood. */
extern const struct option_spec open_options[];
/* --unlocked, for verbs that only look. */
extern const struct option_spec look_options[];

/* What those options and VHDKIT_ROOTS say, added to flags.  What it points to
 * lives as long as the program. */
struct vhd_open_options image_open_options(uint32_t flags);

/* Opens; complains and returns NULL where that fails. */
struct vhd_image *image_open(const char *path, uint32_t flags);

/* Complains of what opening it noticed. */
void image_warn(struct vhd_image *image);

/* Before an image is changed: complains of the children that it has beside it,
 * which are then worth nothing. */
void image_warn_of_children(struct vhd_image *image);

/* Is that file the image or one of its parents, or a block device whose bytes
 * one of them holds?  Then it complains.  name: what to call the file; path:
 * what leads to it; done: what is to be "done" to the image. */
bool image_refuse_self(struct vhd_image *image, const char *name,
                       const char *path, const struct stat *file,
                       const char *done);

/* Closes; complains and returns -1 where that fails.  NULL is fine. */
int image_close(struct vhd_image *image);

/* Complains about what went wrong; what a signal canceled is no wrong.  look:
 * in a verb that takes look_options, which may be of help. */
void image_complain(const struct vhd_error *err, bool look);

/* Complains that a new file could not be made; overwrite: --overwrite was
 * given. */
void image_complain_new(const struct vhd_error *err, bool overwrite);

/* The image `depth` below this one; NULL past the last. */
struct vhd_image *image_ancestor(struct vhd_image *image, unsigned depth);

#endif
