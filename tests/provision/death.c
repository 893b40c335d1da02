/* SPDX-License-Identifier: BSD-2-Clause */
/* death.c: see death.h.
 *
 * Each file that has a name has a second one in the folder beside, its number;
 * so a name that was lost can be given back. */
#include "config.h"

#include "death.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wnonnull-compare"

#define FOLDERS 2
#define NAMES 64
#define ROOM 160

/* What a name leads to: a file's number in hexadecimal behind a #, or a link's
 * text; "": nothing. */
struct entry {
  char name[ROOM], to[ROOM];
  unsigned change; /* both names of a rename have the same */
};

struct names {
  struct entry at[NAMES];
  unsigned n;
};

static struct watched {
  char path[PATH_MAX], beside[PATH_MAX];
  dev_t dev;
  ino_t ino;
  struct names durable;
  struct entry pending[NAMES];
  unsigned npending;
} watched[FOLDERS];
static unsigned nwatched;

static struct {
  bool on;
  unsigned n, at, cut, changes;
} plan;

static void
need(bool good, const char *what)
{
  if (good)
    return;
  fprintf(stderr, "death: %s: %s\n", what, strerror(errno));
  abort();
}

/* -------------------------------------------------------------------- names */

static void
names_set(struct names *names, const struct entry *entry)
{
  unsigned i = 0;

  while (i < names->n && strcmp(names->at[i].name, entry->name) != 0)
    i++;
  need(i < NAMES, "too many names");
  names->at[i] = *entry;
  names->n += i == names->n;
}

/* What a name leads to now; a file gets its second name. */
static void
look(const struct watched *w, const char *name, struct entry *entry)
{
  char path[2 * PATH_MAX], beside[2 * PATH_MAX];
  struct stat st;

  snprintf(entry->name, ROOM, "%s", name);
  entry->to[0] = '\0';
  snprintf(path, sizeof path, "%s/%s", w->path, name);
  if (lstat(path, &st) < 0)
    return;
  if (S_ISLNK(st.st_mode)) {
    const ssize_t n = readlink(path, entry->to, ROOM - 1);
    entry->to[n > 0 ? n : 0] = '\0';
    return;
  }
  snprintf(entry->to, ROOM, "#%llx", (unsigned long long)st.st_ino);
  snprintf(beside, sizeof beside, "%s/%s", w->beside, entry->to + 1);
  need(syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, beside, 0) == 0 ||
         errno == EEXIST, beside);
}

static void
each_name(const char *folder, void (*visit)(void *opaque, const char *name),
          void *opaque)
{
  DIR *dir = opendir(folder);
  const struct dirent *entry;

  need(dir != NULL, folder);
  while ((entry = readdir(dir)) != NULL)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      visit(opaque, entry->d_name);
  closedir(dir);
}

static void
take_name(void *opaque, const char *name)
{
  struct watched *w = opaque;
  struct entry entry;

  look(w, name, &entry);
  names_set(&w->durable, &entry);
}

/* One half of a rename is not durable without the other. */
static void
take_other_half(struct watched *w, unsigned change)
{
  for (unsigned i = 0; i < w->npending; i++)
    if (w->pending[i].change == change)
      names_set(&w->durable, &w->pending[i]);
}

static void
take_all(struct watched *w)
{
  for (unsigned i = 0; i < w->npending; i++)
    for (unsigned k = 0; k < nwatched; k++)
      if (&watched[k] != w)
        take_other_half(&watched[k], w->pending[i].change);
  w->durable.n = w->npending = 0;
  each_name(w->path, take_name, w);
}

static void
remove_name(void *opaque, const char *name)
{
  char path[2 * PATH_MAX];

  snprintf(path, sizeof path, "%s/%s", (const char *)opaque, name);
  need(syscall(SYS_unlinkat, AT_FDCWD, path, 0) == 0, path);
}

static void
empty(const char *folder)
{
  each_name(folder, remove_name, (void *)(uintptr_t)folder);
}

static void
give_name(const struct watched *w, const struct entry *entry)
{
  char path[2 * PATH_MAX], beside[2 * PATH_MAX];

  snprintf(path, sizeof path, "%s/%s", w->path, entry->name);
  snprintf(beside, sizeof beside, "%s/%s", w->beside, entry->to + 1);
  if (entry->to[0] == '#')
    need(syscall(SYS_linkat, AT_FDCWD, beside, AT_FDCWD, path, 0) == 0, path);
  else if (entry->to[0])
    need(syscall(SYS_symlinkat, entry->to, AT_FDCWD, path) == 0, path);
}

/* A power cut: of what is pending all is there (1), nothing (2), or some. */
static void
cut(struct watched *w, unsigned seed)
{
  for (unsigned i = 0; i < w->npending; i++) {
    const unsigned chance = (seed + 31 * w->pending[i].change) * 2654435761U;
    if (seed == 1 || (seed > 2 && chance >> 28 & 1))
      names_set(&w->durable, &w->pending[i]);
  }
  empty(w->path);
  for (unsigned i = 0; i < w->durable.n; i++)
    give_name(w, &w->durable.at[i]);
}

void
death_watch(const char *folder, const char *beside)
{
  struct watched *w = &watched[nwatched++];
  struct stat st;

  need(nwatched <= FOLDERS, "too many folders");
  need(realpath(folder, w->path) && realpath(beside, w->beside) &&
         stat(w->path, &st) == 0, folder);
  w->dev = st.st_dev;
  w->ino = st.st_ino;
}

void
death_begin(unsigned at, unsigned seed)
{
  for (unsigned i = 0; i < nwatched; i++) {
    empty(watched[i].beside);
    take_all(&watched[i]);
  }
  plan.n = 0;
  plan.at = at;
  plan.cut = seed;
  plan.on = true;
}

unsigned
death_end(void)
{
  plan.on = false;
  return plan.n;
}

/* -------------------------------------------------------------------- calls */

/* A call that changes something is about to be made. */
static void
step(void)
{
  plan.changes++;
  if (!plan.on || ++plan.n != plan.at)
    return;
  plan.on = false;
  for (unsigned i = 0; plan.cut && i < nwatched; i++)
    cut(&watched[i], plan.cut);
  _exit(DEATH_STATUS);
}

static struct watched *
find(const struct stat *st)
{
  for (unsigned i = 0; i < nwatched; i++)
    if (watched[i].dev == st->st_dev && watched[i].ino == st->st_ino)
      return &watched[i];
  return NULL;
}

/* The folder that is watched in which a path names something; NULL: none. */
static struct watched *
folder_of(int fd, const char *path, const char **name)
{
  const char *slash = path ? strrchr(path, '/') : NULL;
  char parent[PATH_MAX];
  struct stat st;

  if (!plan.on || !path || !*path)
    return NULL;
  *name = slash ? slash + 1 : path;
  snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path + 1) : 1,
           slash ? path : ".");
  if (!slash && fd != AT_FDCWD)
    return fstat(fd, &st) == 0 ? find(&st) : NULL;
  return fstatat(fd, parent, &st, 0) == 0 ? find(&st) : NULL;
}

static void
note(struct watched *w, const char *name)
{
  if (!w)
    return;
  need(w->npending < NAMES, "too many changes");
  look(w, name, &w->pending[w->npending]);
  w->pending[w->npending++].change = plan.changes;
}

static int
sync_any(int fd)
{
  struct stat st;

  /* No power is going to be cut but in here. */
  if (!plan.on)
    return 0;
  step();
  struct watched *w = fstat(fd, &st) == 0 ? find(&st) : NULL;
  if (w)
    take_all(w);
  return 0;
}

int
fsync(int fd)
{
  return sync_any(fd);
}

int
fdatasync(int fd)
{
  return sync_any(fd);
}

int
renameat2(int fd, const char *from, int other, const char *to, unsigned flags)
{
  const char *old = "", *new = "";
  struct watched *was = folder_of(fd, from, &old);
  struct watched *is = folder_of(other, to, &new);

  if (was || is)
    step();
  const long r = syscall(SYS_renameat2, fd, from, other, to, flags);
  const int sys = errno;
  if (r == 0) {
    note(is, new);
    note(was, old);
  }
  errno = sys;
  return (int)r;
}

int
renameat(int fd, const char *from, int other, const char *to)
{
  return renameat2(fd, from, other, to, 0);
}

int
rename(const char *from, const char *to)
{
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int
linkat(int fd, const char *from, int other, const char *to, int flags)
{
  const char *new = "";
  struct watched *w = folder_of(other, to, &new);

  if (w)
    step();
  const long r = syscall(SYS_linkat, fd, from, other, to, flags);
  const int sys = errno;
  if (r == 0)
    note(w, new);
  errno = sys;
  return (int)r;
}

int
symlinkat(const char *text, int fd, const char *name)
{
  const char *new = "";
  struct watched *w = folder_of(fd, name, &new);

  if (w)
    step();
  const long r = syscall(SYS_symlinkat, text, fd, name);
  if (r == 0)
    note(w, new);
  return (int)r;
}

int
unlinkat(int fd, const char *path, int flags)
{
  const char *old = "";
  struct watched *w = folder_of(fd, path, &old);

  if (w)
    step();
  const long r = syscall(SYS_unlinkat, fd, path, flags);
  const int sys = errno;
  if (r == 0)
    note(w, old);
  errno = sys;
  return (int)r;
}

int
unlink(const char *path)
{
  return unlinkat(AT_FDCWD, path, 0);
}

static int
do_open(int fd, const char *path, int flags, unsigned mode)
{
  const char *name = "";
  struct watched *w = flags & O_CREAT ? folder_of(fd, path, &name) : NULL;

  if (w)
    step();
  const int r = (int)syscall(SYS_openat, fd, path, flags, mode);
  const int sys = errno;
  if (r >= 0)
    note(w, name);
  errno = sys;
  return r;
}

static unsigned
mode_of(int flags, va_list args)
{
  return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE
           ? va_arg(args, unsigned) : 0;
}

int
openat(int fd, const char *path, int flags, ...)
{
  va_list args;

  va_start(args, flags);
  const unsigned mode = mode_of(flags, args);
  va_end(args);
  return do_open(fd, path, flags, mode);
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

/* Bytes: the process dies before each of these, too. */
ssize_t
pwrite(int fd, const void *buf, size_t len, off_t off)
{
  step();
  return syscall(SYS_pwrite64, fd, buf, len, off);
}

ssize_t
pwritev2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
  step();
  return syscall(SYS_pwritev2, fd, iov, n, off, 0L, flags);
}

int
ftruncate(int fd, off_t size)
{
  step();
  return (int)syscall(SYS_ftruncate, fd, size);
}

int
fallocate(int fd, int mode, off_t off, off_t len)
{
  step();
  return (int)syscall(SYS_fallocate, fd, mode, off, len);
}

int
fchmod(int fd, mode_t mode)
{
  step();
  return (int)syscall(SYS_fchmod, fd, mode);
}

int
futimens(int fd, const struct timespec times[2])
{
  step();
  return (int)syscall(SYS_utimensat, fd, NULL, times, 0);
}

/* ------------------------------------------------------------------- copies */

struct copying {
  const char *from, *to;
};

static void
copy_bytes(const char *from, const char *to)
{
  const int in = open(from, O_RDONLY | O_CLOEXEC);
  struct stat st;

  need(in >= 0 && fstat(in, &st) == 0, from);
  const int out = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  need(out >= 0 && ftruncate(out, st.st_size) == 0, to);
  char *buf = malloc((size_t)st.st_size + 1);
  need(buf && pread(in, buf, (size_t)st.st_size, 0) == st.st_size, from);
  for (off_t off = 0; off < st.st_size; off += 4096) {
    const off_t left = st.st_size - off;
    const size_t n = (size_t)(left < 4096 ? left : 4096);
    if (buf[off] != 0 || memcmp(buf + off, buf + off + 1, n - 1) != 0)
      need(pwrite(out, buf + off, n, off) == (ssize_t)n, to);
  }
  const struct timespec times[2] = { st.st_atim, st.st_mtim };
  need(futimens(out, times) == 0 && fchmod(out, st.st_mode & 07777) == 0, to);
  free(buf);
  close(in);
  close(out);
}

static void
copy_name(void *opaque, const char *name)
{
  const struct copying *c = opaque;
  char from[2 * PATH_MAX], to[2 * PATH_MAX], text[ROOM];
  struct stat st;

  snprintf(from, sizeof from, "%s/%s", c->from, name);
  snprintf(to, sizeof to, "%s/%s", c->to, name);
  need(lstat(from, &st) == 0, from);
  if (S_ISLNK(st.st_mode)) {
    const ssize_t n = readlink(from, text, ROOM - 1);
    need(n > 0, from);
    text[n] = '\0';
    need(symlink(text, to) == 0, to);
  } else {
    copy_bytes(from, to);
  }
}

void
death_copy(const char *from, const char *to)
{
  struct copying c = { from, to };

  empty(to);
  each_name(from, copy_name, &c);
}
