/* SPDX-License-Identifier: BSD-2-Clause */
/* driver.h: who mounts a file system without the kernel's driver: programs of
 * other packages, by FUSE. */
#ifndef TOOL_ATTACH_DRIVER_H
#define TOOL_ATTACH_DRIVER_H

#include "attach/folder.h"

struct driver {
  const char *content; /* as libblkid calls the file system */
  const char *program, *package;
  const char *foreground; /* an option with which it stays; or NULL */
  const char *options;    /* for -o, as it stays, too */
  const char *writable;   /* options to write with; NULL: it cannot, or not well
                           * enough */
  const char *not_root;   /* options for a user without rights; or NULL */
  bool owned;   /* its files get the user and mode that are given to it */
  bool talks;   /* of each thing it does: nothing of it is kept */
};

/* NULL: none is known. */
const struct driver *driver_of(const char *content);

/* Runs as root whoever calls it, who is not; so root must be let into what it
 * is to mount. */
bool driver_is_privileged(const char *program);

/* The arguments to start it with, NULL-terminated, which point into the others;
 * options: where -o's are put. */
#define DRIVER_ARGS 8
#define DRIVER_OPTIONS 200
void driver_arguments(const struct driver *driver, const struct attachment *a,
                      const char *program, char options[DRIVER_OPTIONS],
                      const char *argv[DRIVER_ARGS]);

/* Is the file system there now? */
bool driver_is_ready(const struct attachment *a);
/* Unmounts it, and waits until its driver has written everything.  force: also
 * where somebody uses it.  Complains and returns -1 where it stays. */
int driver_release(const struct attachment *a, bool force);

#endif
