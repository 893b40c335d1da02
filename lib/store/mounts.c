/* SPDX-License-Identifier: BSD-2-Clause */
/* mounts.c: see mounts.h. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "store/host.h"
#include "store/mounts.h"

uint64_t
mounts_fs_id(const struct statfs *fs, dev_t dev)
{
  uint64_t id;

  _Static_assert(sizeof id == sizeof fs->f_fsid, "an id has 64 bits");
  memcpy(&id, &fs->f_fsid, sizeof id);
  return id != 0 ? id : dev;
}

/* The kernel's folder of a file system on a device of its own. */
static bool
folder_by_device(const char *kind, dev_t dev, char *path, size_t size)
{
  char device[60], target[PATH_MAX];

  snprintf(device, sizeof device, "/sys/dev/block/%u:%u", major(dev),
           minor(dev));
  ssize_t n = readlink(device, target, sizeof target - 1);
  if (n <= 0)
    return false;
  target[n] = '\0';
  const char *slash = strrchr(target, '/');
  return slash && (size_t)snprintf(path, size, "/sys/fs/%s/%s", kind,
                                   slash + 1) < size;
}

static bool
folder_of_btrfs(int fd, char *path, size_t size)
{
  struct btrfs_ioctl_fs_info_args info = { 0 };
  size_t n = (size_t)snprintf(path, size, "/sys/fs/btrfs/");

  if (ioctl(fd, BTRFS_IOC_FS_INFO, &info) < 0 || n + 37 > size)
    return false;
  for (size_t i = 0; i < sizeof info.fsid; i++)
    n += (size_t)snprintf(path + n, size - n, "%s%02x",
                          i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                          info.fsid[i]);
  return true;
}

/* Such a folder is made when the file system is mounted, and no two that the
 * kernel makes there have the same number. */
uint64_t
mounts_mounting(int fd, const struct statfs *fs, dev_t dev)
{
  const unsigned long type = (unsigned long)fs->f_type;
  char path[PATH_MAX];
  struct stat st;

  bool told = type == EXT4_SUPER_MAGIC
                ? folder_by_device("ext4", dev, path, sizeof path)
              : type == XFS_SUPER_MAGIC
                ? folder_by_device("xfs", dev, path, sizeof path)
              : type == F2FS_SUPER_MAGIC
                ? folder_by_device("f2fs", dev, path, sizeof path)
                : type == BTRFS_SUPER_MAGIC &&
                  folder_of_btrfs(fd, path, sizeof path);
  return told && stat(path, &st) == 0 ? st.st_ino : 0;
}

/* A mounted file system, as its root tells. */
struct mounted {
  dev_t dev;
  bool seen;  /* what follows is known */
  uint64_t fs;
  dev_t files; /* what its files have; on Btrfs, not its own */
  struct statx_timestamp born; /* the root; all 0: not known */
};

/* White space and the like stand there as \ and three octal digits. */
static void
unescape(char *path)
{
  char *to = path;

  for (const char *from = path; *from; to++) {
    unsigned c;
    if (sscanf(from, "\\%3o", &c) == 1) {
      *to = (char)c;
      from += 4;
    } else {
      *to = *from++;
    }
  }
  *to = '\0';
}

/* Another may be mounted over mount `id`.  The device of a file need not be
 * that of the whole (Btrfs), but older kernels tell nothing else. */
static bool
is_mount(const struct statx *st, unsigned id, dev_t dev)
{
  return st->stx_mask & STATX_MNT_ID
           ? st->stx_mnt_id == id
           : makedev(st->stx_dev_major, st->stx_dev_minor) == dev;
}

static void
look_at_mount(const char *point, unsigned id, bool whole, struct mounted *m)
{
  struct statx st;
  struct statfs fs;

  CLEANUP_CLOSE int fd = host_open(AT_FDCWD, point, O_PATH, 0);
  if (fd < 0 ||
      statx(fd, "", AT_EMPTY_PATH, STATX_BTIME | STATX_MNT_ID, &st) < 0 ||
      !is_mount(&st, id, m->dev) || fstatfs(fd, &fs) < 0)
    return;
  m->seen = true;
  m->fs = mounts_fs_id(&fs, m->dev);
  m->files = makedev(st.stx_dev_major, st.stx_dev_minor);
  if (whole && st.stx_mask & STATX_BTIME)
    m->born = st.stx_btime;
}

static bool
is_known(const struct mounted *m)
{
  return m->born.tv_sec != 0 || m->born.tv_nsec != 0;
}

/* One line: the mount, that above it, the device, which part of it, and where
 * that is.  Is it of that device? */
static bool
look_at_line(const char *line, struct mounted *m)
{
  unsigned id, major, minor;
  CLEANUP_FREE char *part = NULL, *point = NULL;

  int n = sscanf(line, "%u %*u %u:%u %ms %ms", &id, &major, &minor, &part,
                 &point);
  if (n < 3 || makedev(major, minor) != m->dev)
    return false;
  if (n == 5) {
    unescape(point);
    look_at_mount(point, id, strcmp(part, "/") == 0, m);
  }
  return true;
}

/* 1, 0: it is not mounted, or -errno. */
static int
find(struct mounted *m)
{
  const int fd = host_open(AT_FDCWD, "/proc/self/mountinfo", O_RDONLY, 0);
  FILE *info = fd < 0 ? NULL : fdopen(fd, "r");
  CLEANUP_FREE char *line = NULL;
  size_t size = 0;
  bool there = false;

  if (fd < 0)
    return fd;
  if (!info) {
    close(fd);
    return -ENOMEM;
  }
  while (!is_known(m) && getline(&line, &size, info) >= 0)
    there |= look_at_line(line, m);
  const int e = !is_known(m) && !feof(info) ? -EIO : 0;
  fclose(info);
  return e < 0 ? e : !there ? 0 : m->seen ? 1 : -EACCES;
}

/* Some file systems have no id but the number of their device; then what was
 * mounted there later has it too, but not a root of the same time. */
int
mounts_has(uint64_t fs, dev_t was, dev_t now)
{
  struct mounted there = { .dev = was }, here = { .dev = now };

  int e = find(&there);
  if (e <= 0)
    return e;
  if (there.fs != fs || there.files == now)
    return 0;
  e = is_known(&there) ? find(&here) : 0;
  if (e < 0 && e != -EACCES)
    return e;
  return !is_known(&here) || !is_known(&there) ||
         memcmp(&there.born, &here.born, sizeof here.born) == 0;
}
