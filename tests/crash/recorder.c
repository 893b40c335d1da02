/* SPDX-License-Identifier: BSD-2-Clause */
/* recorder.c: the system calls that change a file, seen from inside the process
 * that makes them; see recorder.h.  Each stands here in all spellings that
 * glibc has for it.  Any thread. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "recorder.h"

#define EXPORT __attribute__((visibility("default")))

/* The next definition of this name, glibc's. */
#define REAL(name)                                                            \
  static __typeof__(&name) real_##name;                                       \
  if (!real_##name)                                                           \
    real_##name = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* ------------------------------------------------------------------ writes */

static uint64_t
total(const struct iovec *iov, int niov)
{
  uint64_t len = 0;

  for (int i = 0; i < niov; i++)
    len += iov[i].iov_len;
  return len;
}

static ssize_t
write_some(int fd, const struct iovec *iov, uint64_t len, off_t off)
{
  REAL(pwrite);
  size_t n = len < iov->iov_len ? len : iov->iov_len;

  return real_pwrite(fd, iov->iov_base, n, off);
}

/* No file system tears a sector. */
static uint64_t
half_of(uint64_t off, uint64_t len)
{
  uint64_t end = (off + len / 2) / 512 * 512;

  return end > off ? end - off : 0;
}

/* A write as it was asked for, or as its fate has it. */
static ssize_t
do_write(int fd, const struct iovec *iov, int niov, off_t off, int flags)
{
  REAL(pwritev2);
  uint64_t len = total(iov, niov), half = half_of((uint64_t)off, len);
  enum call_op op =
    flags & (RWF_DSYNC | RWF_SYNC) ? CALL_DURABLE_WRITE : CALL_WRITE;
  struct call c;
  ssize_t n;

  if (flags & RWF_APPEND || off < 0)
    op = CALL_STRANGE;
  recorder_begin(&c, op, false, (uint64_t)off, len, iov, niov);
  switch (c.fate) {
  case FATE_NORMAL:
  case FATE_DONE_FAIL:
    n = real_pwritev2(fd, iov, niov, off, flags);
    break;
  case FATE_FAIL:
    n = 0;
    break;
  default:
    n = half ? write_some(fd, iov, half, off) : 0;
    if (n == 0 && c.fate == FATE_SHORT)
      c.fate = FATE_FAIL;
  }
  uint64_t done = n > 0 ? (uint64_t)n : 0;
  if (c.fate == FATE_FAIL || c.fate == FATE_HALF_FAIL ||
      c.fate == FATE_DONE_FAIL) {
    n = -1;
    errno = c.error;
  }
  recorder_end(&c, n < 0 ? -errno : n, done);
  return n;
}

EXPORT ssize_t
pwritev2(int fd, const struct iovec *iov, int niov, off_t off, int flags)
{
  REAL(pwritev2);
  return recorder_watches(fd) ? do_write(fd, iov, niov, off, flags)
                              : real_pwritev2(fd, iov, niov, off, flags);
}

EXPORT ssize_t
pwritev64v2(int fd, const struct iovec *iov, int niov, off_t off, int flags)
{
  return pwritev2(fd, iov, niov, off, flags);
}

EXPORT ssize_t
pwritev(int fd, const struct iovec *iov, int niov, off_t off)
{
  return pwritev2(fd, iov, niov, off, 0);
}

EXPORT ssize_t
pwritev64(int fd, const struct iovec *iov, int niov, off_t off)
{
  return pwritev2(fd, iov, niov, off, 0);
}

EXPORT ssize_t
pwrite(int fd, const void *buf, size_t len, off_t off)
{
  REAL(pwrite);
  struct iovec iov = { (void *)(uintptr_t)buf, len };

  return recorder_watches(fd) ? do_write(fd, &iov, 1, off, 0)
                              : real_pwrite(fd, buf, len, off);
}

EXPORT ssize_t
pwrite64(int fd, const void *buf, size_t len, off_t off)
{
  return pwrite(fd, buf, len, off);
}

/* Nobody should write to an image where the descriptor happens to stand. */
static void
strange(void)
{
  struct call c;

  recorder_begin(&c, CALL_STRANGE, false, 0, 0, NULL, 0);
}

EXPORT ssize_t
write(int fd, const void *buf, size_t len)
{
  REAL(write);
  if (recorder_watches(fd))
    strange();
  return real_write(fd, buf, len);
}

EXPORT ssize_t
writev(int fd, const struct iovec *iov, int niov)
{
  REAL(writev);
  if (recorder_watches(fd))
    strange();
  return real_writev(fd, iov, niov);
}

EXPORT ssize_t
copy_file_range(int in, off_t *in_off, int out, off_t *out_off, size_t len,
                unsigned flags)
{
  REAL(copy_file_range);
  if (recorder_watches(out))
    strange();
  return real_copy_file_range(in, in_off, out, out_off, len, flags);
}

/* ------------------------------------------------------------------- reads */

/* They change nothing, but while one is slow much may happen. */
EXPORT ssize_t
pread(int fd, void *buf, size_t len, off_t off)
{
  REAL(pread);
  if (recorder_watches(fd))
    recorder_delay_read();
  return real_pread(fd, buf, len, off);
}

EXPORT ssize_t
pread64(int fd, void *buf, size_t len, off_t off)
{
  return pread(fd, buf, len, off);
}

/* Nothing is in memory, where somebody asks for that. */
EXPORT ssize_t
preadv2(int fd, const struct iovec *iov, int niov, off_t off, int flags)
{
  REAL(preadv2);
  if (flags & RWF_NOWAIT && recorder_watches(fd) &&
      recorder_poses_as_local()) {
    errno = EAGAIN;
    return -1;
  }
  return real_preadv2(fd, iov, niov, off, flags);
}

EXPORT ssize_t
preadv64v2(int fd, const struct iovec *iov, int niov, off_t off, int flags)
{
  return preadv2(fd, iov, niov, off, flags);
}

/* -------------------------------------------------------------- the others */

/* The return value of a call that gave 0 or -1 and errno, after its fate. */
static int
finish(struct call *c, int result, uint64_t done)
{
  if (c->fate != FATE_NORMAL) {
    result = -1;
    errno = c->error;
  }
  recorder_end(c, result < 0 ? -errno : 0, done);
  return result;
}

static bool
happens(const struct call *c)
{
  return c->fate == FATE_NORMAL || c->fate == FATE_DONE_FAIL;
}

EXPORT int
fallocate(int fd, int mode, off_t off, off_t len)
{
  REAL(fallocate);
  const int clear = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
  enum call_op op = CALL_STRANGE;
  struct call c;

  if (!recorder_watches(fd))
    return real_fallocate(fd, mode, off, len);
  if (mode == 0)
    op = CALL_EXTEND;
  else if (mode == FALLOC_FL_KEEP_SIZE)
    op = CALL_RESERVE;
  else if (mode & clear && mode & FALLOC_FL_KEEP_SIZE &&
           !(mode & ~(clear | FALLOC_FL_KEEP_SIZE)))
    op = mode & FALLOC_FL_PUNCH_HOLE ? CALL_PUNCH : CALL_CLEAR;
  recorder_begin(&c, op, false, (uint64_t)off, (uint64_t)len, NULL, 0);
  int result = happens(&c) ? real_fallocate(fd, mode, off, len) : -1;
  return finish(&c, result, result == 0 ? (uint64_t)len : 0);
}

EXPORT int
fallocate64(int fd, int mode, off_t off, off_t len)
{
  return fallocate(fd, mode, off, len);
}

EXPORT int
posix_fallocate(int fd, off_t off, off_t len)
{
  REAL(posix_fallocate);
  if (recorder_watches(fd))
    strange();
  return real_posix_fallocate(fd, off, len);
}

EXPORT int
ftruncate(int fd, off_t size)
{
  REAL(ftruncate);
  struct call c;

  if (!recorder_watches(fd))
    return real_ftruncate(fd, size);
  recorder_begin(&c, CALL_TRUNCATE, false, (uint64_t)size, 0, NULL, 0);
  int result = happens(&c) ? real_ftruncate(fd, size) : -1;
  return finish(&c, result, result == 0);
}

EXPORT int
ftruncate64(int fd, off_t size)
{
  return ftruncate(fd, size);
}

static int
do_sync(int fd, int (*sync)(int))
{
  struct call c;

  if (!recorder_watches(fd))
    return sync(fd);
  recorder_begin(&c, CALL_SYNC, false, 0, 0, NULL, 0);
  return finish(&c, happens(&c) ? sync(fd) : -1, 0);
}

EXPORT int
fdatasync(int fd)
{
  REAL(fdatasync);
  return do_sync(fd, real_fdatasync);
}

EXPORT int
fsync(int fd)
{
  REAL(fsync);
  return do_sync(fd, real_fsync);
}

/* It promises nothing of what a power cut leaves. */
EXPORT int
sync_file_range(int fd, off_t off, off_t len, unsigned flags)
{
  REAL(sync_file_range);
  return real_sync_file_range(fd, off, len, flags);
}

/* ------------------------------------------------ passing for a local disk */

EXPORT int
fstatfs(int fd, struct statfs *fs)
{
  REAL(fstatfs);
  int result = real_fstatfs(fd, fs);

  if (result == 0 && fs->f_type == TMPFS_MAGIC && recorder_watches(fd) &&
      recorder_poses_as_local())
    fs->f_type = EXT4_SUPER_MAGIC;
  return result;
}

EXPORT int
fstatfs64(int fd, struct statfs64 *fs)
{
  return fstatfs(fd, (struct statfs *)fs);
}

/* Without cachestat a server cannot know that a page is in memory, and leaves
 * what would have to read one first to its engine. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

EXPORT long
syscall(long number, ...)
{
  REAL(syscall);
  long a[6];
  va_list args;

  if (number == SYS_cachestat && recorder_poses_as_local()) {
    errno = ENOSYS;
    return -1;
  }
  va_start(args, number);
  for (int i = 0; i < 6; i++)
    a[i] = va_arg(args, long);
  va_end(args);
  return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
