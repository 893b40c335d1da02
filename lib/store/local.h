/* SPDX-License-Identifier: BSD-2-Clause */
/* local.h: images in local regular files.
 *
 * Locks are open-file-description byte locks laid as qemu's file driver lays
 * them (bases 100 and 200), so that qemu's tools and ours exclude each other:
 * one writer or any number of readers. */
#ifndef STORE_LOCAL_H
#define STORE_LOCAL_H

#include <stddef.h>

#include "store/file.h"

enum local_mode {
  LOCAL_READ,     /* shared with readers */
  LOCAL_WRITE,    /* alone */
  LOCAL_UNLOCKED, /* read, without a lock */
};

/* Opens an existing regular file; anything else (FIFO, device, folder, /proc)
 * is refused without blocking.  VHD_BUSY names the holder where the system
 * shows it. */
int local_open(const char *path, enum local_mode mode, struct vhd_file **file,
               struct vhd_error *err);

/* Creates a new, empty file and holds it alone; -EEXIST if the name is taken,
 * by whatever. */
int local_create(const char *path, struct vhd_file **file,
                 struct vhd_error *err);

/* The canonical path of the file that is really open, links resolved, into
 * path[size]; for checking it against the allowed roots.  0; -ENOENT where the
 * file has no name any more; -ENAMETOOLONG. */
int local_real_path(struct vhd_file *file, char *path, size_t size);

#endif
