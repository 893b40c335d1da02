/* SPDX-License-Identifier: BSD-2-Clause */
/* unmount.c: see unmount.h. */
#include "config.h"

#include "attach/unmount.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "attach/process.h"
#include "message.h"

/* Whoever looks at the open files of all processes, as fuser and lsof do, uses
 * each of them for a moment. */
#define TRIES 10
#define TRY_TIME 50

int
unmount_refuse(const char *path, const char *what, const char *why)
{
  complain_as(EXIT_REFUSED, "%s: %s: %s; it stays attached; --force detaches "
              "it all the same", path, what, why);
  return -1;
}

/* 0, -EBUSY, -EPERM, or another error. */
static int
unmount_once(const char *path, bool lazily)
{
  return umount2(path, UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0)) == 0
           ? 0
           : -errno;
}

static int
unmount_by_helper(const char *path, bool lazily)
{
  char said[512] = "";
  char *program = process_find("fusermount3", NULL);
  const char *argv[] = { program, lazily ? "-uz" : "-u", "--", path, NULL };
  int r = -1;

  if (!program)
    return -1;
  for (int i = 0; i < TRIES && r != 0; i++) {
    if (i > 0)
      poll(NULL, 0, TRY_TIME);
    r = process_run(argv, said, sizeof said);
  }
  free(program);
  return r == 0 ? 0 : unmount_refuse(path, "cannot be unmounted", said);
}

int
unmount_fuse(const char *path, bool lazily)
{
  int r = unmount_once(path, lazily);

  for (int i = 1; i < TRIES && r == -EBUSY; i++) {
    poll(NULL, 0, TRY_TIME);
    r = unmount_once(path, lazily);
  }
  if (r == -EPERM)
    return unmount_by_helper(path, lazily);
  if (r < 0)
    return unmount_refuse(path,
                          r == -EBUSY ? "is in use" : "cannot be unmounted",
                          strerror(-r));
  return 0;
}
