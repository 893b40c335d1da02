/* SPDX-License-Identifier: BSD-2-Clause */
/* host.h: the way to the host's files by their names, for all of the store.
 *
 * By default the C library's; a program may put another in its place
 * (vhd_set_host()).  Only what opens or changes something goes this way; what
 * merely looks at names (stat(), access(), realpath()) does not, and neither
 * does the making of new images.  Blocks; any thread. */
#ifndef STORE_HOST_H
#define STORE_HOST_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>

/* As openat(), unlinkat(), renameat() within one folder, and mkdir().  A
 * descriptor, with O_CLOEXEC, or 0; -errno. */
int host_open(int folder, const char *path, int flags, unsigned mode);
int host_unlink(int folder, const char *name);
int host_rename(int folder, const char *from, const char *to);
int host_mkdir(const char *path, unsigned mode);

/* As opendir(). */
DIR *host_opendir(const char *path);

/* Does such an errno tell something of the file itself (it is not there, it is
 * closed to us)?  Else nothing is known of it: we lack descriptors or memory,
 * or the host fails. */
bool host_tells(int sys);

/* Who else has the file of fd open; see holder.h. */
bool host_holder(int fd, char *text, size_t size);

#endif
