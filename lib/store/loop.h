/* SPDX-License-Identifier: BSD-2-Clause */
/* loop.h: files that the kernel uses as disks, through loop devices.  It holds
 * no lock of theirs, and no process has them open.  Blocks; any thread. */
#ifndef STORE_LOOP_H
#define STORE_LOOP_H

#include <stdbool.h>
#include <sys/stat.h>

struct loop_user {
  char name[32]; /* of the device, as "/dev/loop0" */
  bool writes;   /* the file may be changed through it */
};

/* Is there a loop device on that regular file, which has this path now?  As far
 * as /sys shows any of a file of the same last name: a second link of another
 * name is not noticed. */
bool loop_find(const struct stat *file, const char *path,
               struct loop_user *user);

#endif
