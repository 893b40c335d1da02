/* SPDX-License-Identifier: BSD-2-Clause */
/* journal_pin.c: see journal_pin.h.
 *
 * Between the last look and the removal only those can change the name who may
 * write to the folder, and what they put there they could remove as well. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "store/host.h"
#include "store/journal_pin.h"

int
journal_folder(const char *path, const char **name)
{
  const char *slash = strrchr(path, '/');

  if (!slash || slash[1] == '\0')
    return -ENOENT;
  *name = slash + 1;
  CLEANUP_FREE char *dir =
    strndup(path, slash == path ? 1 : (size_t)(slash - path));
  return dir ? host_open(AT_FDCWD, dir, O_PATH | O_DIRECTORY, 0) : -ENOMEM;
}

int
journal_pin(struct journal_pin *pin, int folder, const struct stat *file)
{
  struct stat st;

  if (fstat(folder, &st) < 0)
    return -errno;
  *pin = (struct journal_pin){ file->st_dev, st.st_ino, file->st_ino };
  return st.st_dev == file->st_dev ? 0 : -EXDEV;
}

/* The folder's descriptor, or -errno. */
static int
find(const struct journal_pin *pin, const char *path, const char **name)
{
  struct stat st;

  int fd = journal_folder(path, name);
  if (fd < 0)
    return fd;
  if (fstat(fd, &st) == 0 && st.st_dev == pin->dev &&
      st.st_ino == pin->folder &&
      fstatat(fd, *name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
      st.st_dev == pin->dev && st.st_ino == pin->file)
    return fd;
  close(fd);
  return -ESTALE;
}

int
journal_pin_unlink(const struct journal_pin *pin, const char *path)
{
  const char *name;

  CLEANUP_CLOSE int fd = find(pin, path, &name);
  return fd < 0 ? fd : host_unlink(fd, name);
}

int
journal_pin_rename(const struct journal_pin *pin, const char *path,
                   const char *name)
{
  const char *old;

  CLEANUP_CLOSE int fd = find(pin, path, &old);
  return fd < 0 ? fd : host_rename(fd, old, name);
}
