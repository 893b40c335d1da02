/* SPDX-License-Identifier: BSD-2-Clause */
/* local.c: images in local regular files, by plain system calls.
 *
 * A struct local_file owns its descriptor, and with it the locks.  perform is
 * called by any thread; only changes of the file's size take turns, since
 * "grow, but never shrink" is two system calls. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "store/companion.h"
#include "store/host.h"
#include "store/local.h"
#include "store/lock.h"
#include "store/lookup.h"
#include "store/syncs.h"

struct local_file {
  struct vhd_file file; /* first */
  pthread_mutex_t resize;
  struct syncs syncs;
};

/* The largest single write of zeros, where the file system cannot punch. */
#define ZEROS_SIZE ((size_t)64 << 10)

/* ----------------------------------------------------- reading and writing */

/* What is left to read or to write. */
struct transfer {
  char *buf;
  uint64_t len, off;
};

/* Takes note of what a system call moved.  0: it goes on; -errno. */
static int
moved(struct transfer *t, ssize_t n)
{
  if (n < 0)
    return errno == EINTR ? 0 : -errno;
  if (n == 0)
    return -EIO;
  t->buf += n;
  t->off += (uint64_t)n;
  t->len -= (uint64_t)n;
  return 0;
}

static int
do_read(int fd, char *buf, uint64_t len, uint64_t off)
{
  struct transfer t = { buf, len, off };
  int r = 0;

  while (r == 0 && t.len > 0)
    r = moved(&t, pread(fd, t.buf, MIN(t.len, SSIZE_MAX), (off_t)t.off));
  return r;
}

static int
do_write(int fd, const char *buf, uint64_t len, uint64_t off, bool durable)
{
  struct transfer t = { (char *)(uintptr_t)buf, len, off };
  bool dsync = durable;
  int r = 0;

  while (r == 0 && t.len > 0) {
    struct iovec iov = { t.buf, MIN(t.len, SSIZE_MAX) };
    ssize_t n = pwritev2(fd, &iov, 1, (off_t)t.off, dsync ? RWF_DSYNC : 0);
    if (n < 0 && dsync && (errno == EOPNOTSUPP || errno == ENOSYS))
      dsync = false;
    else
      r = moved(&t, n);
  }
  if (r == 0 && durable && !dsync && fdatasync(fd) < 0)
    r = -errno;
  return r;
}

static int
current_size(int fd, uint64_t *size)
{
  struct stat st;
  if (fstat(fd, &st) < 0)
    return -errno;
  *size = (uint64_t)st.st_size;
  return 0;
}

/* For file systems that cannot do better; never grows the file. */
static int
write_zeros(int fd, uint64_t off, uint64_t len)
{
  static const char zeros[ZEROS_SIZE];
  uint64_t size;
  int r = current_size(fd, &size);
  if (r == 0 && off < size)
    len = MIN(len, size - off);
  else
    len = 0;

  while (r == 0 && len > 0) {
    uint64_t n = MIN(len, ZEROS_SIZE);
    r = do_write(fd, zeros, n, off, false);
    off += n;
    len -= n;
  }
  return r;
}

/* --------------------------------------------------------------- the others */

static int
do_fallocate(int fd, int mode, uint64_t off, uint64_t len)
{
  int r;
  do
    r = fallocate(fd, mode, (off_t)off, (off_t)len);
  while (r < 0 && errno == EINTR);
  return r < 0 ? -errno : 0;
}

/* Where there are data; the rest reads as zeros and needs none, nor space. */
static int
write_zeros_over_data(int fd, uint64_t off, uint64_t len)
{
  uint64_t end = off + len;
  int r = 0;

  while (r == 0 && off < end) {
    off_t data = lseek(fd, (off_t)off, SEEK_DATA);
    if (data < 0)
      return errno == ENXIO ? 0 : -errno;
    off_t hole = lseek(fd, data, SEEK_HOLE);
    if (hole < 0)
      return -errno;
    if ((uint64_t)data >= end)
      break;
    off = MIN((uint64_t)hole, end);
    r = write_zeros(fd, (uint64_t)data, off - (uint64_t)data);
  }
  return r;
}

/* A full file system may lack the space for its own account of a hole, as XFS
 * does.  What lies there already can be overwritten all the same. */
static int
clear_when_full(int fd, const struct vhd_io *io, int result)
{
  if (io->flags & VHD_IO_GIVE_BACK)
    return result;
  int r = io->kind == VHD_IO_PUNCH
            ? write_zeros_over_data(fd, io->off, io->len)
            : write_zeros(fd, io->off, io->len);
  return r < 0 ? result : 0;
}

static int
do_clear(int fd, const struct vhd_io *io)
{
  int mode = io->kind == VHD_IO_PUNCH ? FALLOC_FL_PUNCH_HOLE
                                      : FALLOC_FL_ZERO_RANGE;

  if (io->len == 0)
    return 0;
  int r = do_fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, io->off, io->len);
  if (r == -EOPNOTSUPP || r == -ENOSYS)
    return write_zeros(fd, io->off, io->len);
  return r == -ENOSPC || r == -EDQUOT ? clear_when_full(fd, io, r) : r;
}

static int
do_truncate(int fd, uint64_t size)
{
  int r;
  do
    r = ftruncate(fd, (off_t)size);
  while (r < 0 && errno == EINTR);
  return r < 0 ? -errno : 0;
}

/* The file keeps its size, whatever happens: where space runs out, ext4 moves
 * the end of a file before it says so. */
static int
do_reserve(int fd, uint64_t off, uint64_t len)
{
  uint64_t size;

  if (len == 0)
    return 0;
  int r = do_fallocate(fd, FALLOC_FL_KEEP_SIZE, off, len);
  if (r == -EOPNOTSUPP || r == -ENOSYS)
    return 0; /* nothing can be promised here */
  /* What was found of it lies behind the end, or below where it does no
   * harm. */
  if (r < 0 && current_size(fd, &size) == 0 && off + len > size)
    do_truncate(fd, size);
  return r;
}

static int
do_extend(int fd, uint64_t off, uint64_t len)
{
  uint64_t size;
  int r = current_size(fd, &size);
  if (r < 0 || size >= off + len)
    return r;
  return do_truncate(fd, off + len);
}

static int
do_resize(struct local_file *local, const struct vhd_io *io)
{
  int fd = local->file.fd;
  pthread_mutex_lock(&local->resize);
  int r = io->kind == VHD_IO_TRUNCATE ? do_truncate(fd, io->off)
          : io->flags & VHD_IO_RESERVE ? do_reserve(fd, io->off, io->len)
          : do_extend(fd, io->off, io->len);
  pthread_mutex_unlock(&local->resize);
  return r;
}

/* By itself, if it can have the file's own description for that. */
static int
do_durable_write(struct local_file *local, struct vhd_io *io)
{
  const bool alone = syncs_try_own(&local->syncs);
  const int fd = local->file.fd;
  int r = do_write(fd, io->buf, io->len, io->off, alone), s = 0;

  if (alone) { /* what failed was the sync if the write alone does not */
    if (r < 0 && do_write(fd, io->buf, io->len, io->off, false) == 0)
      s = r;
    s = syncs_end_own(&local->syncs, s);
  } else if (r == 0) {
    s = syncs_run(&local->syncs);
  }
  if (s < 0)
    io->flags |= VHD_IO_LOST;
  return r < 0 ? r : s;
}

static int
local_perform(struct vhd_file *file, struct vhd_io *io)
{
  struct local_file *local = (struct local_file *)file;
  int fd = file->fd;
  /* What the kernel takes as offsets; nothing valid comes near. */
  if (!range_fits(io->off, io->len, INT64_MAX))
    return -EFBIG;

  switch ((enum vhd_io_kind)io->kind) {
  case VHD_IO_READ:
    return do_read(fd, io->buf, io->len, io->off);
  case VHD_IO_WRITE:
    return io->flags & VHD_IO_DURABLE
             ? do_durable_write(local, io)
             : do_write(fd, io->buf, io->len, io->off, false);
  case VHD_IO_SYNC:
    return syncs_run(&local->syncs);
  case VHD_IO_PUNCH:
  case VHD_IO_ZERO:
    return do_clear(fd, io);
  case VHD_IO_EXTEND:
  case VHD_IO_TRUNCATE:
    return do_resize(local, io);
  }
  return -EINVAL;
}

static int
local_size(struct vhd_file *file, uint64_t *size)
{
  return current_size(file->fd, size);
}

static uint64_t
local_next_data(struct vhd_file *file, uint64_t off)
{
  off_t data = lseek(file->fd, (off_t)off, SEEK_DATA);
  if (data >= 0)
    return (uint64_t)data;
  return errno == ENXIO ? UINT64_MAX : off;
}

static int
local_lock(struct vhd_file *file, bool writer, struct vhd_error *err)
{
  return lock_take(file->fd, writer, file->path, err);
}

static int
local_beside(struct vhd_file *from, const char *name, unsigned nth,
             const struct file_roots *roots, struct vhd_file **file,
             struct vhd_error *err)
{
  CLEANUP_FREE char *path = NULL;
  int r = lookup_beside(from->path, name, nth, roots, &path, err);

  if (r == 0)
    r = local_open(path, LOCAL_UNLOCKED, file, err);
  if (r < 0)
    return r;
  CLEANUP_FREE char *real = malloc(PATH_MAX);
  if (real != NULL && local_real_path(*file, real, PATH_MAX) == 0 &&
      strcmp(real, path) == 0)
    return 0;
  file_close(*file);
  return vhd_fail(err, VHD_PARENT_DENIED, EACCES,
                  "%s: '%s' was moved while it was opened", from->path, path);
}

/* Tried on the page behind the end of the file, where there is nothing. */
static bool
probe(int fd, int mode, uint64_t size)
{
  return do_fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, round_up(size, 4096),
                      4096) == 0;
}

/* The usual file systems are known: to try it would change the file's times,
 * by which others tell whether it was written to, and a zeroed page
 * behind the end would take space until it is punched again. */
static void
local_probe(struct vhd_file *file)
{
  struct statfs fs;
  uint64_t size = 0;
  int flags = 0;
  unsigned long type = fstatfs(file->fd, &fs) == 0 ? (unsigned long)fs.f_type
                                                   : 0;

  /* Files of ext2's kind are another matter. */
  if (type == EXT4_SUPER_MAGIC &&
      (ioctl(file->fd, FS_IOC_GETFLAGS, &flags) < 0 ||
       !(flags & FS_EXTENT_FL)))
    type = 0;
  switch (type) {
  case EXT4_SUPER_MAGIC:
  case XFS_SUPER_MAGIC:
  case BTRFS_SUPER_MAGIC:
  case F2FS_SUPER_MAGIC:
    file->can_punch = file->can_zero = true;
    syncs_allow_several(&((struct local_file *)file)->syncs, file->path);
    break;
  case TMPFS_MAGIC:
    file->can_punch = true;
    break;
  default:
    if (current_size(file->fd, &size) < 0)
      break;
    file->can_zero = probe(file->fd, FALLOC_FL_ZERO_RANGE, size);
    file->can_punch = probe(file->fd, FALLOC_FL_PUNCH_HOLE, size);
  }
}

/* Without /proc the file is called what it was opened by. */
static int
companion_path(struct vhd_file *file, char *path)
{
  const size_t room = PATH_MAX - sizeof COMPANION_SUFFIX;

  if (local_real_path(file, path, room) < 0) {
    if (strlen(file->path) >= room)
      return -ENAMETOOLONG;
    strcpy(path, file->path);
  }
  strcat(path, COMPANION_SUFFIX);
  return 0;
}

static int local_new(int *fd, const char *path, struct vhd_file **file,
                     struct vhd_error *err);

static int
local_companion(struct vhd_file *file, enum companion_mode mode,
                struct vhd_file **companion, struct vhd_error *err)
{
  char path[PATH_MAX];

  int r = companion_path(file, path);
  if (r < 0)
    return vhd_fail_sys(err, -r, "%s", file->path);
  CLEANUP_CLOSE int fd =
    companion_open(file->fd, file->path, path, mode, err);
  return fd < 0 ? fd : local_new(&fd, path, companion, err);
}

static int
local_settle(struct vhd_file *file, bool remove)
{
  char path[PATH_MAX];

  int r = companion_path(file, path);
  return r < 0 ? r : companion_settle(file->fd, path, remove);
}

static void
local_close(struct vhd_file *file)
{
  struct local_file *local = (struct local_file *)file;
  pthread_mutex_destroy(&local->resize);
  syncs_destroy(&local->syncs);
  close(file->fd);
  free(file->path);
  free(local);
}

static const struct file_ops local_ops = {
  .perform = local_perform,
  .size = local_size,
  .next_data = local_next_data,
  .lock = local_lock,
  .beside = local_beside,
  .companion = local_companion,
  .settle = local_settle,
  .probe = local_probe,
  .close = local_close,
};

/* ------------------------------------------------------------------ opening */

/* Takes over *fd and sets it to -1, on success. */
static int
local_new(int *fd, const char *path, struct vhd_file **file,
          struct vhd_error *err)
{
  struct stat st;
  if (fstat(*fd, &st) < 0)
    return vhd_fail_sys(err, errno, "%s: fstat", path);

  struct local_file *local = calloc(1, sizeof *local);
  char *copy = strdup(path);
  if (local == NULL || copy == NULL) {
    free(local);
    free(copy);
    return vhd_fail_sys(err, ENOMEM, "%s", path);
  }
  local->file = (struct vhd_file) {
    .ops = &local_ops,
    .fd = *fd,
    .path = copy,
    .dev = st.st_dev,
    .ino = st.st_ino,
  };
  pthread_mutex_init(&local->resize, NULL);
  syncs_init(&local->syncs, *fd);
  *fd = -1;
  *file = &local->file;
  return 0;
}

static int
check_kind(const struct stat *st, const char *path, struct vhd_error *err)
{
  static const struct {
    mode_t type;
    const char *name;
  } kinds[] = {
    { S_IFDIR, "a directory" },        { S_IFIFO, "a FIFO" },
    { S_IFCHR, "a character device" }, { S_IFBLK, "a block device" },
    { S_IFSOCK, "a socket" },
  };
  if (S_ISREG(st->st_mode))
    return 0;
  const char *what = "of an unknown kind";
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    if ((st->st_mode & S_IFMT) == kinds[i].type)
      what = kinds[i].name;
  return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                  "%s: it is %s; an image must be a regular file", path, what);
}

/* File systems whose regular files are no files: the kernel speaks there. */
static int
check_filesystem(int fd, const char *path, struct vhd_error *err)
{
  static const unsigned long not_files[] = {
    PROC_SUPER_MAGIC,   SYSFS_MAGIC,         DEBUGFS_MAGIC, TRACEFS_MAGIC,
    SECURITYFS_MAGIC,   CGROUP_SUPER_MAGIC,  SELINUX_MAGIC, EFIVARFS_MAGIC,
    CGROUP2_SUPER_MAGIC,
  };
  struct statfs fs;
  if (fstatfs(fd, &fs) < 0)
    return vhd_fail_sys(err, errno, "%s: fstatfs", path);
  for (size_t i = 0; i < sizeof not_files / sizeof not_files[0]; i++)
    if ((unsigned long)fs.f_type == not_files[i])
      return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                      "%s: it lies in a file system of the kernel's own; an "
                      "image must be a regular file",
                      path);
  return 0;
}

/* Opens a regular file and nothing else.  Looked at before, because to open
 * some devices is to use them, and after, because the name may have changed
 * hands; O_NONBLOCK so that a FIFO that slips in between cannot hold us. */
static int
open_regular(const char *path, int flags, struct vhd_error *err)
{
  struct stat st;
  if (stat(path, &st) < 0)
    return vhd_fail_sys(err, errno, "%s", path);
  int r = check_kind(&st, path, err);
  if (r < 0)
    return r;

  CLEANUP_CLOSE int fd =
    host_open(AT_FDCWD, path, flags | O_NONBLOCK | O_NOCTTY, 0);
  if (fd < 0)
    return vhd_fail_sys(err, -fd, "%s", path);
  if (fstat(fd, &st) < 0)
    return vhd_fail_sys(err, errno, "%s: fstat", path);
  r = check_kind(&st, path, err);
  if (r == 0)
    r = check_filesystem(fd, path, err);
  if (r < 0)
    return r;

  /* Left on, it would make io_uring give up where it should wait. */
  if (fcntl(fd, F_SETFL, 0) < 0)
    return vhd_fail_sys(err, errno, "%s: fcntl", path);
  int opened = fd;
  fd = -1;
  return opened;
}

int
local_open(const char *path, enum local_mode mode, struct vhd_file **file,
           struct vhd_error *err)
{
  CLEANUP_CLOSE int fd =
    open_regular(path, mode == LOCAL_WRITE ? O_RDWR : O_RDONLY, err);
  if (fd < 0)
    return fd;
  int r = 0;
  if (mode != LOCAL_UNLOCKED)
    r = lock_take(fd, mode == LOCAL_WRITE, path, err);
  return r < 0 ? r : local_new(&fd, path, file, err);
}

int
local_create(const char *path, struct vhd_file **file, struct vhd_error *err)
{
  CLEANUP_CLOSE int fd =
    host_open(AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL | O_NOCTTY, 0666);
  if (fd < 0)
    return vhd_fail_sys(err, -fd, "%s", path);
  int r = lock_take(fd, true, path, err);
  if (r == 0)
    r = local_new(&fd, path, file, err);
  if (r < 0)
    host_unlink(AT_FDCWD, path);
  return r;
}

int
local_real_path(struct vhd_file *file, char *path, size_t size)
{
  char link[32];
  struct stat st;
  assert(size > 0);

  snprintf(link, sizeof link, "/proc/self/fd/%d", file->fd);
  ssize_t n = readlink(link, path, size);
  if (n < 0)
    return -errno;
  if ((size_t)n == size)
    return -ENAMETOOLONG;
  path[n] = '\0';
  /* An unlinked file's is "name (deleted)": see that this is the file. */
  if (stat(path, &st) < 0)
    return -errno;
  return st.st_dev == file->dev && st.st_ino == file->ino ? 0 : -ENOENT;
}
