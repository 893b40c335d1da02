/* SPDX-License-Identifier: BSD-2-Clause */
/* device.c: see device.h.
 *
 * /sys shows of each device the ones that it is made of: of a partition its
 * disk, of the device mapper's, md's and the like their slaves, and of a loop
 * device the path that its file had when it was set up.  Paths lie (the file
 * was renamed, or belongs to another mount namespace), so that a loop device
 * itself is asked which file it has; the path serves where it cannot be asked,
 * and where its file is another device. */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "device.h"

/* Devices on devices; the kernel's own stacks are less deep. */
#define MAX_DEPTH 16

struct search {
  bool (*is)(void *opaque, dev_t dev, ino_t ino);
  void *opaque;
};

static bool look_below(const struct search *search, const char *dir,
                       const char *node, unsigned depth);

/* A device by its number. */
static bool
look_at(const struct search *search, dev_t device, const char *node,
        unsigned depth)
{
  char dir[64];

  snprintf(dir, sizeof dir, "/sys/dev/block/%u:%u", major(device),
           minor(device));
  return look_below(search, dir, node, depth);
}

/* The number of a device as the kernel hands it out in 64 bits. */
static dev_t
number_of(uint64_t dev)
{
  return makedev((unsigned)(dev >> 8 & 0xfff),
                 (unsigned)((dev & 0xff) | (dev >> 12 & 0xfff00)));
}

/* The file that a loop device says it has. */
static bool
ask_loop(const struct search *search, const char *node)
{
  struct loop_info64 info = { .lo_inode = 0 };
  const int fd = open(node, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

  if (fd < 0)
    return false;
  const bool told = ioctl(fd, LOOP_GET_STATUS64, &info) == 0;
  close(fd);
  return told && search->is(search->opaque, number_of(info.lo_device),
                            info.lo_inode);
}

/* The file that a loop device was set up with, by its path. */
static bool
look_at_path(const struct search *search, const char *dir, unsigned depth)
{
  char file[PATH_MAX], path[PATH_MAX];
  struct stat st;

  if (snprintf(file, sizeof file, "%s/loop/backing_file", dir) >= PATH_MAX)
    return false;
  const int fd = open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  const ssize_t n = read(fd, path, sizeof path - 1);
  close(fd);
  if (n <= 0)
    return false;
  path[path[n - 1] == '\n' ? n - 1 : n] = '\0';
  if (stat(path, &st) < 0)
    return false;
  return S_ISBLK(st.st_mode)
           ? look_at(search, st.st_rdev, path, depth + 1)
           : search->is(search->opaque, st.st_dev, st.st_ino);
}

static bool
look_at_slaves(const struct search *search, const char *dir, unsigned depth)
{
  char slaves[PATH_MAX], below[PATH_MAX], node[NAME_MAX + 8];
  const struct dirent *entry;
  bool found = false;

  if (snprintf(slaves, sizeof slaves, "%s/slaves", dir) >= PATH_MAX)
    return false;
  DIR *d = opendir(slaves);
  while (d != NULL && !found && (entry = readdir(d)) != NULL) {
    if (entry->d_name[0] == '.' ||
        snprintf(below, sizeof below, "%s/%s", slaves, entry->d_name) >=
          PATH_MAX)
      continue;
    snprintf(node, sizeof node, "/dev/%s", entry->d_name);
    for (char *p = node; (p = strchr(p, '!')) != NULL;)
      *p = '/'; /* as /sys spells it */
    found = look_below(search, below, node, depth + 1);
  }
  if (d != NULL)
    closedir(d);
  return found;
}

/* dir: of the device, below /sys. */
static bool
look_below(const struct search *search, const char *dir, const char *node,
           unsigned depth)
{
  char disk[PATH_MAX];

  if (depth > MAX_DEPTH ||
      snprintf(disk, sizeof disk, "%s/partition", dir) >= PATH_MAX)
    return false;
  if (access(disk, F_OK) == 0) {
    /* A loop device's partition answers as the whole does. */
    snprintf(disk, sizeof disk, "%s/..", dir);
    return look_below(search, disk, node, depth + 1);
  }
  return ask_loop(search, node) || look_at_path(search, dir, depth) ||
         look_at_slaves(search, dir, depth);
}

bool
device_lies_on(dev_t device, const char *node,
               bool (*is)(void *opaque, dev_t dev, ino_t ino), void *opaque)
{
  const struct search search = { is, opaque };

  return look_at(&search, device, node, 0);
}
