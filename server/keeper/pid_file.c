/* SPDX-License-Identifier: BSD-2-Clause */
/* pid_file.c: the pid file; see pid_file.h. */
#include "config.h"

#include "keeper/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

/* Does the path still lead to the file that is open?  Who ends removes his. */
static bool
is_there(const struct pid_file *file)
{
  struct stat ours, there;

  return fstat(file->fd, &ours) == 0 && lstat(file->path, &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

static int
fail_held(const struct pid_file *file, struct vhd_error *err)
{
  char text[32] = "";
  ssize_t n = pread(file->fd, text, sizeof text - 1, 0);
  long pid = n > 0 ? strtol(text, NULL, 10) : 0;

  if (pid > 0) {
    return fail_argument(err, "%s is in use: vhdkitd runs as process %ld",
                         file->path, pid);
  }
  return fail_argument(err, "%s is in use: another vhdkitd is starting",
                       file->path);
}

int
pid_file_open(struct pid_file *file, const char *path, struct vhd_error *err)
{
  *file = (struct pid_file){ .path = path, .fd = -1 };
  while (path && file->fd < 0) {
    file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (file->fd < 0)
      return fail_system(err, errno, "cannot write %s", path);
    int r = 0;
    if (flock(file->fd, LOCK_EX | LOCK_NB) < 0) {
      r = errno == EWOULDBLOCK
            ? fail_held(file, err)
            : fail_system(err, errno, "cannot lock %s", path);
    }
    if (r < 0 || !is_there(file))
      pid_file_close(file);
    if (r < 0)
      return r;
  }
  return 0;
}

void
pid_file_write(const struct pid_file *file)
{
  if (file->fd >= 0 && (ftruncate(file->fd, 0) < 0 ||
                        dprintf(file->fd, "%ld\n", (long)getpid()) < 0))
    log_warning("cannot write %s: %s", file->path, strerror(errno));
}

void
pid_file_remove(const struct pid_file *file)
{
  if (file->fd >= 0 && is_there(file))
    unlink(file->path);
}

void
pid_file_close(struct pid_file *file)
{
  if (file->fd >= 0) {
    close(file->fd);
    file->fd = -1;
  }
}
