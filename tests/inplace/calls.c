/* SPDX-License-Identifier: BSD-2-Clause */
/* calls.c: the calls that change files, or names in a folder, in place of the C
 * library's; see world.h.  One thread. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "calls.h"

/* The C library's attributes promise more than is needed here. */
#pragma GCC diagnostic ignored "-Wnonnull-compare"

struct calls calls;

static struct {
  enum fate fate;
  unsigned at;
  unsigned n, nread;
  bool happened;
} plan;

const char *const fate_names[FATES_END] = {
  "nothing", "EIO", "ENOSPC", "half, then EIO", "done, but EIO",
  "EIO from there on", "ENOSPC from there on", "EIO when reading",
  "killed before", "killed within", "killed after",
};

void
calls_begin(void)
{
  plan.n = plan.nread = 0;
  plan.happened = false;
}

unsigned
world_calls(void)
{
  return plan.n;
}

unsigned
world_reads(void)
{
  return plan.nread;
}

void
world_plan(enum fate fate, unsigned at)
{
  plan.fate = fate;
  plan.at = at;
}

bool
world_happened(void)
{
  return plan.happened;
}

/* ------------------------------------------------------------- what becomes */

/* How a call is to go. */
enum way {
  GO,
  FAIL,  /* errno is set */
  HALF,  /* FAIL, or die, when it is half done */
  SPOIL, /* it is done, and fails or dies */
};

/* space: it needs some. */
static enum way
begin(bool space)
{
  const bool now = ++plan.n == plan.at;
  const bool ever = plan.at != 0 && plan.n >= plan.at;

  switch (plan.fate) {
  case FATE_EIO:
  case FATE_ENOSPC:
    plan.happened |= now;
    errno = plan.fate == FATE_EIO ? EIO : ENOSPC;
    return now ? FAIL : GO;
  case FATE_EVER_EIO:
    plan.happened |= ever;
    errno = EIO;
    return ever ? FAIL : GO;
  case FATE_EVER_ENOSPC:
    plan.happened |= ever && space;
    errno = ENOSPC;
    return ever && space ? FAIL : GO;
  case FATE_HALF:
  case FATE_DIE_HALF:
    return now ? HALF : GO;
  case FATE_DONE:
  case FATE_DIE_AFTER:
    return now ? SPOIL : GO;
  case FATE_DIE_BEFORE:
    if (now)
      _exit(WORLD_KILLED);
    return GO;
  default:
    return GO;
  }
}

static int
end(enum way way, long result)
{
  if (way == HALF || way == SPOIL) {
    if (plan.fate >= FATES_DIE)
      _exit(WORLD_KILLED);
    plan.happened = true;
    errno = EIO;
    return -1;
  }
  return result < 0 ? -1 : 0;
}

/* What cannot be half done. */
static bool
happens(enum way way)
{
  if (way == HALF && plan.fate == FATE_DIE_HALF)
    _exit(WORLD_KILLED);
  if (way == HALF) {
    plan.happened = true;
    errno = EIO;
  }
  return way == GO || way == SPOIL;
}

/* ------------------------------------------------------------------ the log */

static struct event *
note(enum event_kind kind, int file)
{
  struct log *log = calls.log;

  if (log->n == log->room) {
    log->room = log->room ? 2 * log->room : 64;
    log->event = realloc(log->event, log->room * sizeof *log->event);
    if (!log->event)
      abort();
  }
  struct event *e = &log->event[log->n++];
  *e = (struct event){ .kind = kind, .file = file };
  return e;
}

static int
number_of(const struct stat *st)
{
  if (st->st_dev == calls.dev)
    for (int i = 0; i < calls.nfile; i++)
      if (calls.file[i] == st->st_ino)
        return i;
  return -1;
}

/* The number of a file that is watched, or -1. */
static int
watched(int fd)
{
  struct stat st;

  return calls.on && fstat(fd, &st) == 0 ? number_of(&st) : -1;
}

static bool
is_folder(int fd)
{
  struct stat st;

  return calls.on && fstat(fd, &st) == 0 && st.st_dev == calls.dev &&
         st.st_ino == calls.folder;
}

/* The name in the folder that is watched, or NULL. */
static const char *
own_name(int folder, const char *path)
{
  const size_t n = strlen(world_folder);

  if (!calls.on || path == NULL)
    return NULL;
  if (strncmp(path, world_folder, n) == 0 && path[n] == '/')
    return strchr(path + n + 1, '/') ? NULL : path + n + 1;
  return folder >= 0 && *path != '\0' && !strchr(path, '/') &&
             is_folder(folder) ? path : NULL;
}

static void
note_new(int fd)
{
  struct stat st;

  if (fstat(fd, &st) < 0 || calls.nfile == STATE_FILES)
    abort();
  calls.file[calls.nfile] = st.st_ino;
  note(EVENT_NEW, calls.nfile++);
}

static void
add_naming(struct event *e, const char *name, int file)
{
  struct naming *n = &e->naming[e->nnaming++];

  snprintf(n->name, NAME_ROOM, "%s", name);
  n->file = file;
}

/* ------------------------------------------------------------------ content */

static ssize_t
do_write(int fd, int file, const void *buf, size_t len, off_t off)
{
  const enum way way = begin(true);
  const size_t half = (size_t)((off + (off_t)len / 2) / 512 * 512 - off);
  size_t n = len;

  if (way == FAIL)
    return -1;
  if (way == HALF)
    n = half < len ? half : 0;
  const ssize_t done = n ? syscall(SYS_pwrite64, fd, buf, n, off) : 0;
  if (done > 0) {
    struct event *e = note(EVENT_WRITE, file);
    e->off = (uint64_t)off;
    e->len = (uint64_t)done;
    e->bytes = malloc((size_t)done);
    if (!e->bytes)
      abort();
    memcpy(e->bytes, buf, (size_t)done);
  }
  return end(way, done) < 0 ? -1 : done;
}

ssize_t
pwrite(int fd, const void *buf, size_t len, off_t off)
{
  const int file = watched(fd);

  return file < 0 ? syscall(SYS_pwrite64, fd, buf, len, off)
                  : do_write(fd, file, buf, len, off);
}

static int do_sync(int file);

ssize_t
pwritev2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
  const int file = watched(fd);

  if (file < 0)
    return syscall(SYS_pwritev2, fd, iov, n, off, 0L, flags);
  const ssize_t done = do_write(fd, file, iov->iov_base, iov->iov_len, off);
  return done > 0 && flags != 0 && do_sync(file) < 0
           ? -1 : done;
}

ssize_t
pread(int fd, void *buf, size_t len, off_t off)
{
  if (watched(fd) >= 0 && ++plan.nread == plan.at && plan.fate == FATE_READ) {
    plan.happened = true;
    errno = EIO;
    return -1;
  }
  return syscall(SYS_pread64, fd, buf, len, off);
}

int
ftruncate(int fd, off_t size)
{
  const int file = watched(fd);

  if (file < 0)
    return (int)syscall(SYS_ftruncate, fd, size);
  const enum way way = begin(false);
  if (!happens(way))
    return -1;
  const long r = syscall(SYS_ftruncate, fd, size);
  if (r == 0)
    note(EVENT_SIZE, file)->off = (uint64_t)size;
  return end(way, r);
}

static void
note_fallocate(int fd, int file, int mode, off_t off, off_t len)
{
  struct stat st;

  if (mode == 0) { /* the end may have moved */
    if (fstat(fd, &st) < 0)
      abort();
    note(EVENT_SIZE, file)->off = (uint64_t)st.st_size;
  } else if (mode != FALLOC_FL_KEEP_SIZE) {
    struct event *e = note(EVENT_CLEAR, file);
    e->off = (uint64_t)off;
    e->len = (uint64_t)len;
  }
}

int
fallocate(int fd, int mode, off_t off, off_t len)
{
  const int file = watched(fd);

  if (file < 0)
    return (int)syscall(SYS_fallocate, fd, mode, off, len);
  const enum way way = begin((mode & FALLOC_FL_PUNCH_HOLE) == 0);
  if (!happens(way))
    return -1;
  const long r = syscall(SYS_fallocate, fd, mode, off, len);
  if (r == 0)
    note_fallocate(fd, file, mode, off, len);
  return end(way, r);
}

static int
do_sync(int file)
{
  const enum way way = begin(false);

  if (!happens(way)) {
    note(EVENT_FAILED_SYNC, file);
    errno = plan.fate == FATE_ENOSPC ? ENOSPC : EIO;
    return -1;
  }
  note(EVENT_SYNC, file);
  return end(way, 0);
}

static int
sync_any(int fd, long number)
{
  const int file = watched(fd);

  if (file >= 0)
    return do_sync(file);
  if (!is_folder(fd))
    return (int)syscall(number, fd);
  const enum way way = begin(false);
  if (!happens(way))
    return -1;
  note(EVENT_SYNC_NAMES, -1);
  return end(way, 0);
}

int
fdatasync(int fd)
{
  return sync_any(fd, SYS_fdatasync);
}

int
fsync(int fd)
{
  return sync_any(fd, SYS_fsync);
}

int
futimens(int fd, const struct timespec times[2])
{
  const int file = watched(fd);

  if (file < 0)
    return (int)syscall(SYS_utimensat, fd, NULL, times, 0);
  const enum way way = begin(false);
  if (!happens(way))
    return -1;
  const long r = syscall(SYS_utimensat, fd, NULL, times, 0);
  if (r == 0)
    note(EVENT_TIME, file)->off =
      (uint64_t)(times[1].tv_sec * 1000000000LL + times[1].tv_nsec);
  return end(way, r);
}

/* -------------------------------------------------------------------- names */

/* A new file of the folder, with a name or without. */
static int
make_file(int folder, const char *path, int flags, unsigned mode)
{
  const char *name = flags & O_CREAT ? own_name(folder, path) : NULL;
  const enum way way = begin(true);

  if (!happens(way))
    return -1;
  const int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
  if (fd >= 0) {
    note_new(fd);
    if (name)
      add_naming(note(EVENT_NAMES, -1), name, calls.nfile - 1);
  }
  if (end(way, fd) < 0) {
    if (fd >= 0)
      close(fd);
    return -1;
  }
  return fd;
}

static int
do_open(int folder, const char *path, int flags, unsigned mode)
{
  /* Nothing here is a loop device's, and to look takes long. */
  if (strncmp(path, "/sys/", 5) == 0) {
    errno = ENOENT;
    return -1;
  }
  if (calls.on && (flags & O_TMPFILE) == O_TMPFILE &&
      (is_folder(folder) || strcmp(path, world_folder) == 0)) {
    if (!calls.no_nameless)
      return make_file(folder, path, flags, mode);
    errno = EOPNOTSUPP;
    return -1;
  }
  const char *name = flags & O_CREAT ? own_name(folder, path) : NULL;
  return name && faccessat(folder, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0
           ? make_file(folder, path, flags, mode)
           : (int)syscall(SYS_openat, folder, path, flags, mode);
}

static unsigned
mode_of(int flags, va_list args)
{
  return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE
           ? va_arg(args, unsigned) : 0;
}

int
openat(int folder, const char *path, int flags, ...)
{
  va_list args;

  va_start(args, flags);
  const unsigned mode = mode_of(flags, args);
  va_end(args);
  return do_open(folder, path, flags, mode);
}

int
open(const char *path, int flags, ...)
{
  va_list args;

  va_start(args, flags);
  const unsigned mode = mode_of(flags, args);
  va_end(args);
  return do_open(AT_FDCWD, path, flags, mode);
}

int
linkat(int from, const char *path, int folder, const char *name, int flags)
{
  const char *own = own_name(folder, name);
  struct stat st;
  const int look = flags & AT_EMPTY_PATH ? AT_EMPTY_PATH
                   : flags & AT_SYMLINK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW;

  if (!own)
    return (int)syscall(SYS_linkat, from, path, folder, name, flags);
  const enum way way = begin(true);
  if (!happens(way))
    return -1;
  const int file = fstatat(from, path, &st, look) == 0 ? number_of(&st) : -1;
  const long r = syscall(SYS_linkat, from, path, folder, name, flags);
  if (r == 0 && file < 0)
    abort();
  if (r == 0)
    add_naming(note(EVENT_NAMES, -1), own, file);
  return end(way, r);
}

int
link(const char *path, const char *name)
{
  return linkat(AT_FDCWD, path, AT_FDCWD, name, 0);
}

static int
do_rename(int folder, const char *from, int other, const char *to,
          unsigned flags)
{
  const char *old = own_name(folder, from), *new = own_name(other, to);
  struct stat st;

  if (!old || !new)
    return (int)syscall(SYS_renameat2, folder, from, other, to, flags);
  const enum way way = begin(true);
  if (!happens(way))
    return -1;
  const int file = fstatat(folder, from, &st, AT_SYMLINK_NOFOLLOW) == 0
                     ? number_of(&st) : -1;
  const long r = syscall(SYS_renameat2, folder, from, other, to, flags);
  if (r == 0) {
    struct event *e = note(EVENT_NAMES, -1);
    add_naming(e, new, file);
    add_naming(e, old, -1);
  }
  return end(way, r);
}

int
renameat2(int folder, const char *from, int other, const char *to,
          unsigned flags)
{
  return do_rename(folder, from, other, to, flags);
}

int
renameat(int folder, const char *from, int other, const char *to)
{
  return do_rename(folder, from, other, to, 0);
}

int
rename(const char *from, const char *to)
{
  return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int
unlinkat(int folder, const char *path, int flags)
{
  const char *own = own_name(folder, path);

  if (!own)
    return (int)syscall(SYS_unlinkat, folder, path, flags);
  const enum way way = begin(false);
  if (!happens(way))
    return -1;
  const long r = syscall(SYS_unlinkat, folder, path, flags);
  if (r == 0)
    add_naming(note(EVENT_NAMES, -1), own, -1);
  return end(way, r);
}

int
unlink(const char *path)
{
  return unlinkat(AT_FDCWD, path, 0);
}
