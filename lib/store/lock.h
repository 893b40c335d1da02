/* SPDX-License-Identifier: BSD-2-Clause */
/* lock.h: who may have a local image open at the same time.
 *
 * The locks belong to the open file description: they go when it is closed,
 * also by a kill, and two descriptions of one process exclude each other like
 * those of two.  Any thread. */
#ifndef STORE_LOCK_H
#define STORE_LOCK_H

#include <stdbool.h>

#include "vhdkit.h"

/* Takes the locks of a reader or a writer on fd, a descriptor open for reading
 * at least, or fails with VHD_BUSY, naming the holder where the system shows
 * it.  A lock whose holder cannot be seen is given a moment: a process that was
 * killed may leave I/O in the kernel, which holds the file until it is done. */
int lock_take(int fd, bool writer, const char *path, struct vhd_error *err);

/* How others hold the file at this moment.  Takes no lock, and so keeps nobody
 * out, not even for an instant. */
enum vhd_holders lock_look(int fd);

#endif
