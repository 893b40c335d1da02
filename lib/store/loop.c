/* SPDX-License-Identifier: BSD-2-Clause */
/* loop.c: see loop.h.
 *
 * /sys shows of each loop device the path that its file has by now.  Paths lie
 * (the file may belong to another mount namespace), so the device itself is
 * asked which file it has; the path serves where it cannot be asked, and where
 * the file's own numbers are others than stat()'s (btrfs).
 *
 * To ask may take for ever: the file may lie on a disk that hangs, anybody's.
 * So it is done only of files that have the same last name, in whatever
 * namespace, or whose image has several.  What a bind mount alone gives another
 * name is not found. */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "store/folder.h"
#include "store/host.h"
#include "store/loop.h"

/* Loop devices are always here, and nothing here is a link. */
#define DEVICES "/sys/devices/virtual/block"

/* What stands in a file of the device's folder, without its newline. */
static bool
read_fact(const char *device, const char *fact, char *text, size_t size)
{
  char path[PATH_MAX];

  snprintf(path, sizeof path, DEVICES "/%s/%s", device, fact);
  /* Looked at first: to have it opened may take another process's time. */
  const int fd = access(path, F_OK) < 0
                   ? -1 : host_open(AT_FDCWD, path, O_RDONLY, 0);
  if (fd < 0)
    return false;
  const ssize_t n = read(fd, text, size - 1);
  close(fd);
  if (n <= 0)
    return false;
  text[text[n - 1] == '\n' ? n - 1 : n] = '\0';
  return true;
}

static bool
same_file(const struct stat *a, dev_t dev, ino_t ino)
{
  return a->st_dev == dev && a->st_ino == ino;
}

/* Is it the file that the device says it has? */
static bool
says_so(const char *node, const struct stat *file)
{
  struct loop_info64 info = { .lo_inode = 0 };
  const int fd =
    host_open(AT_FDCWD, node, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

  if (fd < 0)
    return false;
  const bool told = ioctl(fd, LOOP_GET_STATUS64, &info) == 0;
  close(fd);
  /* The kernel hands the device's number out in 64 bits. */
  return told &&
         same_file(file,
                   makedev((unsigned)(info.lo_device >> 8 & 0xfff),
                           (unsigned)((info.lo_device & 0xff) |
                                      (info.lo_device >> 12 & 0xfff00))),
                   info.lo_inode);
}

static bool
lies_on(const char *device, const char *node, const struct stat *file,
        const char *name)
{
  char path[PATH_MAX];
  struct stat st;

  /* Devices without a file have no such fact. */
  if (!read_fact(device, "loop/backing_file", path, sizeof path) ||
      (file->st_nlink < 2 && strcmp(folder_last_name(path), name) != 0))
    return false;
  return says_so(node, file) ||
         (stat(path, &st) == 0 && same_file(file, st.st_dev, st.st_ino));
}

bool
loop_find(const struct stat *file, const char *path, struct loop_user *user)
{
  const char *name = folder_last_name(path);
  DIR *dir = host_opendir(DEVICES);
  const struct dirent *entry;
  bool found = false;

  while (dir && !found && (entry = readdir(dir)) != NULL) {
    char fact[8];
    if (strncmp(entry->d_name, "loop", 4) != 0 ||
        snprintf(user->name, sizeof user->name, "/dev/%s", entry->d_name) >=
          (int)sizeof user->name)
      continue;
    found = lies_on(entry->d_name, user->name, file, name);
    user->writes = !(found &&
                     read_fact(entry->d_name, "ro", fact, sizeof fact) &&
                     strcmp(fact, "1") == 0);
  }
  if (dir)
    closedir(dir);
  return found;
}
