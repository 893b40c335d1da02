/* SPDX-License-Identifier: BSD-2-Clause */
/* excerpt.h: what the disk in an image holds, though libblkid wants a file: it
 * gets one in memory with holes, but where it is going to look. */
#ifndef TOOL_INSIDE_EXCERPT_H
#define TOOL_INSIDE_EXCERPT_H

#include "inside/disk.h"
#include "vhdkit.h"

/* As disk_look(). */
int excerpt_look(struct vhd_image *image, struct disk *disk);

/* Looks again at what is in a part, in all of libblkid's places: what a file
 * system was covered with may have left its beginning alone. */
int excerpt_look_at_part(struct vhd_image *image, struct disk_part *part);

#endif
