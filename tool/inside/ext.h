/* SPDX-License-Identifier: BSD-2-Clause */
/* ext.h: what ext2, ext3 and ext4 do not use. */
#ifndef TOOL_INSIDE_EXT_H
#define TOOL_INSIDE_EXT_H

#include "inside/disk.h"
#include "inside/free.h"

bool ext_can_look(void);

/* Adds the blocks of the file system in the part that nothing is in.  -errno
 * and a message where it is damaged, or was not unmounted in order. */
int ext_find_free(struct vhd_image *image, const struct disk_part *part,
                  struct free_map *map, struct vhd_error *err);

#endif
