/* SPDX-License-Identifier: BSD-2-Clause */
/* mounts.h: which file systems are mounted, as far as this process sees.
 * Blocks; any thread. */
#ifndef STORE_MOUNTS_H
#define STORE_MOUNTS_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/vfs.h>

/* By what a file system is called, or by the device that it is on. */
uint64_t mounts_fs_id(const struct statfs *fs, dev_t dev);

/* Of all times that file systems were mounted since the boot, which is that of
 * the one that an opened file lies on?  However often it shows in the tree of
 * folders, in whatever namespaces, it was mounted once.  0: it is not told. */
uint64_t mounts_mounting(int fd, const struct statfs *fs, dev_t dev);

/* Is that file system mounted on device `was`, `now` being one that looks the
 * same to us?  1, 0 or -errno; -EACCES: something is mounted there that cannot
 * be looked at. */
int mounts_has(uint64_t fs, dev_t was, dev_t now);

#endif
