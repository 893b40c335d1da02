/* SPDX-License-Identifier: BSD-2-Clause */
/* extents.h: how much of a file's range was ever written.  Owns nothing; any
 * thread; blocks. */
#ifndef STORE_EXTENTS_H
#define STORE_EXTENTS_H

#include <stdint.h>

#include "store/file.h"

/* Bytes of the range that hold data, in the eyes of the file system: neither
 * holes nor space that is only set aside.  All of it where nothing can be
 * found out. */
uint64_t file_data_within(const struct vhd_file *file, uint64_t off,
                          uint64_t len);

#endif
