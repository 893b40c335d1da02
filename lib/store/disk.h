/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.h: a disk of the caller's making as a store, to be read. */
#ifndef STORE_DISK_H
#define STORE_DISK_H

#include "store/file.h"

/* The disk outlives the file.  path: for messages. */
int disk_open(const struct vhd_disk *disk, const char *path,
              struct vhd_file **file, struct vhd_error *err);

#endif
