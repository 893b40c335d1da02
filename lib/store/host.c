/* SPDX-License-Identifier: BSD-2-Clause */
/* host.c: see host.h. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/holder.h"
#include "store/host.h"
#include "vhdkit.h"

/* --------------------------------------------------------- the C library's */

static int
plain_open(void *opaque, int folder, const char *path, int flags,
           unsigned mode)
{
  (void)opaque;
  const int fd = openat(folder, path, flags | O_CLOEXEC, mode);
  return fd < 0 ? -errno : fd;
}

static int
plain_unlink(void *opaque, int folder, const char *name)
{
  (void)opaque;
  return unlinkat(folder, name, 0) < 0 ? -errno : 0;
}

static int
plain_rename(void *opaque, int folder, const char *from, const char *to)
{
  (void)opaque;
  return renameat(folder, from, folder, to) < 0 ? -errno : 0;
}

static int
plain_mkdir(void *opaque, const char *path, unsigned mode)
{
  (void)opaque;
  return mkdir(path, mode) < 0 ? -errno : 0;
}

static bool
plain_holder(void *opaque, int fd, long pid, int number, char *text,
             size_t size)
{
  (void)opaque;
  return holder_find(fd, pid, number, text, size);
}

static const struct vhd_host plain = {
  .open = plain_open,
  .unlink = plain_unlink,
  .rename = plain_rename,
  .mkdir = plain_mkdir,
  .holder = plain_holder,
};

static const struct vhd_host *host = &plain;

/* ------------------------------------------------------------------- public */

const struct vhd_host *
vhd_host(void)
{
  return host;
}

void
vhd_set_host(const struct vhd_host *other)
{
  host = other ? other : &plain;
}

/* ---------------------------------------------------------- for the library */

int
host_open(int folder, const char *path, int flags, unsigned mode)
{
  return host->open(host->opaque, folder, path, flags, mode);
}

int
host_unlink(int folder, const char *name)
{
  return host->unlink(host->opaque, folder, name);
}

int
host_rename(int folder, const char *from, const char *to)
{
  return host->rename(host->opaque, folder, from, to);
}

int
host_mkdir(const char *path, unsigned mode)
{
  return host->mkdir(host->opaque, path, mode);
}

DIR *
host_opendir(const char *path)
{
  const int fd = host_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);

  if (fd < 0)
    errno = -fd;
  else if (!dir)
    close(fd);
  return dir;
}

bool
host_tells(int sys)
{
  return sys == ENOENT || sys == ENOTDIR || sys == EACCES || sys == ELOOP ||
         sys == ENXIO || sys == ENAMETOOLONG;
}

bool
host_holder(int fd, char *text, size_t size)
{
  return host->holder(host->opaque, fd, getpid(), fd, text, size);
}
