/* SPDX-License-Identifier: BSD-2-Clause */
/* inject.c: see inject.h. */
#undef _FORTIFY_SOURCE /* its functions are defined here, not called */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "inject.h"

static struct {
  const struct fault *fault;
  unsigned nth, count, calls, what, all;
  dev_t dev;
} armed;

void
inject_arm(const struct fault *fault, unsigned nth, dev_t dev)
{
  armed.fault = fault;
  armed.nth = nth;
  armed.count = armed.calls = armed.what = armed.all = 0;
  armed.dev = dev;
}

void
inject_disarm(void)
{
  armed.fault = NULL;
}

bool
inject_struck(void)
{
  return armed.what != 0;
}

unsigned
inject_what(void)
{
  return armed.what;
}

unsigned
inject_all(void)
{
  return armed.all;
}

unsigned
inject_calls(void)
{
  return armed.calls;
}

/* The size of a file that faults are for; -1 for others. */
static off_t
size_of(int fd)
{
  struct stat st;

  return armed.fault && fstat(fd, &st) == 0 && st.st_dev == armed.dev &&
         S_ISREG(st.st_mode) ? st.st_size : -1;
}

/* Is this call, of one of these kinds, struck?  It asks for so much space. */
static bool
strikes_asking(int fd, unsigned kind, off_t space)
{
  if (size_of(fd) < 0)
    return false;
  armed.calls++;
  if ((armed.fault->on & kind) == 0 || space < armed.fault->over)
    return false;
  armed.count++;
  if (armed.count != armed.nth &&
      !(armed.fault->lasts && armed.count > armed.nth))
    return false;
  if (armed.what == 0)
    armed.what = kind;
  armed.all |= kind;
  return true;
}

static bool
strikes(int fd, unsigned kind)
{
  return strikes_asking(fd, kind, 0);
}

static ssize_t
fails(void)
{
  errno = armed.fault->error;
  return -1;
}

/* Half of len, in sectors where there are any: disks write those whole. */
static size_t
half(size_t len)
{
  return len > 512 ? len / 2 / 512 * 512 : len;
}

static ssize_t
read_really(int fd, void *buf, size_t len, off_t off)
{
  return syscall(SYS_pread64, fd, buf, len, off);
}

static ssize_t
write_really(int fd, const void *buf, size_t len, off_t off, int flags)
{
  struct iovec iov = { (void *)(uintptr_t)buf, len };

  return syscall(SYS_pwritev2, fd, &iov, 1, off, 0, flags);
}

ssize_t
pread(int fd, void *buf, size_t len, off_t off)
{
  if (!strikes(fd, ON_READ))
    return read_really(fd, buf, len, off);
  if (armed.fault->how == SHORT)
    return read_really(fd, buf, half(len), off);
  return fails();
}

static ssize_t
write_as_told(int fd, const void *buf, size_t len, off_t off, int flags)
{
  unsigned kind = ON_WRITE;

  if (flags & RWF_DSYNC)
    kind |= ON_SYNC;
  if (off + (off_t)len > size_of(fd))
    kind |= ON_GROW;
  if (!strikes(fd, kind))
    return write_really(fd, buf, len, off, flags);
  if (armed.fault->how == FAILS)
    return fails();
  ssize_t n = write_really(fd, buf, half(len), off, flags);
  return armed.fault->how == SHORT ? n : fails();
}

ssize_t
pwrite(int fd, const void *buf, size_t len, off_t off)
{
  return write_as_told(fd, buf, len, off, 0);
}

ssize_t
pwritev2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
  if (n != 1) {
    errno = ENOSYS; /* nobody does */
    return -1;
  }
  return write_as_told(fd, iov->iov_base, iov->iov_len, off, flags);
}

/* As ext4 does it when it is nearly full: some of it is done, perhaps more than
 * is tried next, and the end of the file has moved if it was to. */
static int
reserve_part(int fd, int mode, off_t off, off_t len)
{
  off_t part = len / 4 * (armed.fault->lasts ? 1 : 3) / 4096 * 4096;

  if (part > 0 && syscall(SYS_fallocate, fd, mode, off, part) < 0)
    return -1;
  return (int)fails();
}

int
fallocate(int fd, int mode, off_t off, off_t len)
{
  bool grows = !(mode & FALLOC_FL_PUNCH_HOLE) && off + len > size_of(fd);

  if (!strikes_asking(fd, ON_SPACE | (grows ? ON_GROW : ON_CLEAR), len))
    return (int)syscall(SYS_fallocate, fd, mode, off, len);
  return armed.fault->how == TORN && grows ? reserve_part(fd, mode, off, len)
                                           : (int)fails();
}

int
ftruncate(int fd, off_t len)
{
  off_t size = size_of(fd);

  if (strikes_asking(fd, len > size ? ON_GROW : ON_CLEAR, len - size))
    return (int)fails();
  return (int)syscall(SYS_ftruncate, fd, len);
}

/* Nothing here loses power, so that nothing need wait for a disk. */
int
fdatasync(int fd)
{
  return strikes(fd, ON_SYNC) ? (int)fails() : 0;
}

int
fsync(int fd)
{
  return strikes(fd, ON_SYNC) ? (int)fails() : 0;
}
