/* SPDX-License-Identifier: BSD-2-Clause */
/* image.h: opening and closing images as the parameters say, and telling nbdkit
 * of what comes of it.  Any thread; may block. */
#ifndef PLUGIN_IMAGE_H
#define PLUGIN_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "vhdkit.h"

struct roots;

/* Of an error, which the client gets too. */
void image_tell(const struct vhd_error *err);
void image_no_memory(struct vhd_error *err);

/* The folders in which an image's parents may lie: its own, that of `base`, and
 * those of roots=.  False: no memory. */
bool image_find_roots(struct roots *roots, const char *path, const char *base);

/* flags: enum vhd_open_flags.  NULL with *err. */
struct vhd_image *image_open_with(const char *path, const char *base,
                                  uint32_t flags, struct vhd_error *err);
/* The same to be served; NULL: nbdkit was told why.  One of a format that is
 * only read is opened so, whatever is asked for. */
struct vhd_image *image_open(const char *path, const char *base,
                             bool readonly);
bool image_is_read_only(struct vhd_image *image);
/* NULL is fine. */
void image_close(struct vhd_image *image);

#endif
