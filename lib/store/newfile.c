/* SPDX-License-Identifier: BSD-2-Clause */
/* newfile.c: see newfile.h.
 *
 * Order, so that a crash at any point leaves the old file or the new one, never
 * part of one: content -> fsync of the file -> link or rename -> fsync of the
 * folder.
 *
 * A file that has a temporary name is locked (flock()) as long as it has it, so
 * that what a killed process left is told from what is still being made: by
 * whoever needs such a name in that folder next, who removes it. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/rules.h"
#include "store/local.h"
#include "store/newfile.h"
#include "store/redo.h"

#define ZEROS_SIZE (1U << 20)
#define RESERVE_STEP ((uint64_t)64 << 20)
#define WRITE_BACK_STEP ((uint64_t)8 << 20)

static int
open_folder(struct newfile *file, struct vhd_error *err)
{
  const char *slash = strrchr(file->path, '/');
  char *folder;

  if (slash == NULL)
    folder = strdup(".");
  else
    folder = strndup(file->path, slash == file->path ? 1
                                   : (size_t)(slash - file->path));
  file->name = slash == NULL ? file->path : slash + 1;
  if (folder == NULL)
    return vhd_fail_sys(err, ENOMEM, "%s", file->path);
  if (*file->name == '\0' || strcmp(file->name, ".") == 0 ||
      strcmp(file->name, "..") == 0) {
    free(folder);
    return vhd_fail(err, VHD_ARGUMENT, EISDIR,
                    "%s: is the name of a folder, not of a file", file->path);
  }
  file->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int sys = errno;
  free(folder);
  if (file->dir < 0)
    return vhd_fail_sys(err, sys, "%s: cannot open its folder", file->path);
  return 0;
}

/* What the new file does with one that has its name. */
enum old {
  REFUSE_OLD,
  REPLACE_OLD,
  REPLACE_HELD, /* by the caller, who keeps writers out */
};

/* Makes sure that the name is free, or that what bears it may be replaced. */
static int
look_at_old(struct newfile *file, enum old old, struct stat *st,
            struct vhd_error *err)
{
  st->st_mode = 0;
  if (fstatat(file->dir, file->name, st, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno == ENOENT)
      return 0;
    return vhd_fail_sys(err, errno, "%s", file->path);
  }
  if (old == REFUSE_OLD)
    return vhd_fail(err, VHD_ARGUMENT, EEXIST,
                    "%s: already exists, and overwriting was not asked for",
                    file->path);
  if (!S_ISREG(st->st_mode))
    return vhd_fail(err, VHD_ARGUMENT, EEXIST,
                    "%s: only a regular file is overwritten, and this is none",
                    file->path);
  if (old == REPLACE_HELD)
    return local_open(file->path, LOCAL_UNLOCKED, &file->old, err);
  int r = local_open(file->path, LOCAL_WRITE, &file->old, err);
  /* What is left of a change in place must not fall upon the new file. */
  if (r == 0)
    r = redo_finish(file->old, REDO_WRITER, err);
  return r < 0 ? r : 0;
}

/* ---------------------------------------------------------- temporary names */

#define TEMP_BEFORE ".vhdkit-"
#define TEMP_DIGITS 16
#define TEMP_BEHIND ".tmp"

bool
newfile_is_temporary(const char *name)
{
  const size_t n = sizeof TEMP_BEFORE - 1;

  return strncmp(name, TEMP_BEFORE, n) == 0 &&
         strspn(name + n, "0123456789abcdef") == TEMP_DIGITS &&
         strcmp(name + n + TEMP_DIGITS, TEMP_BEHIND) == 0;
}

static int
make_temporary_name(char *name, size_t size)
{
  uint64_t random;

  if (getrandom(&random, sizeof random, 0) != sizeof random)
    return -EIO;
  snprintf(name, size, TEMP_BEFORE "%016" PRIx64 TEMP_BEHIND, random);
  return 0;
}

/* Removes a file that nobody is making any more. */
static void
remove_left(int folder, const char *name)
{
  const int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK |
                                        O_NOCTTY | O_CLOEXEC);
  struct stat st;

  if (fd < 0)
    return;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
      flock(fd, LOCK_EX | LOCK_NB) == 0)
    unlinkat(folder, name, 0);
  close(fd);
}

static void
remove_all_left(int folder)
{
  const int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  const struct dirent *entry;

  while (dir != NULL && (entry = readdir(dir)) != NULL)
    if (newfile_is_temporary(entry->d_name))
      remove_left(folder, entry->d_name);
  if (dir != NULL)
    closedir(dir);
  else if (fd >= 0)
    close(fd);
}

/* Locks a new file.  False: one who cleans up came between, and its name is, or
 * will be, gone.  Where there are no locks, nobody cleans up either. */
static bool
claim(int fd)
{
  struct stat st;

  if (flock(fd, LOCK_EX | LOCK_NB) < 0)
    return errno != EWOULDBLOCK;
  return fstat(fd, &st) < 0 || st.st_nlink > 0;
}

static int
open_temporary(struct newfile *file)
{
  file->fd = openat(file->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  if (file->fd >= 0)
    return 0;
  /* EISDIR: a kernel that does not know O_TMPFILE. */
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT &&
      errno != EINVAL)
    return -errno;

  remove_all_left(file->dir);
  for (int i = 0; i < 100; i++) {
    int r = make_temporary_name(file->temp, sizeof file->temp);
    if (r < 0)
      return r;
    file->fd = openat(file->dir, file->temp,
                      O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
    if (file->fd >= 0 && claim(file->fd))
      return 0;
    if (file->fd < 0 && errno != EEXIST)
      break;
    if (file->fd >= 0) {
      unlinkat(file->dir, file->temp, 0);
      close(file->fd);
      file->fd = -1;
      errno = EEXIST;
    }
  }
  file->temp[0] = '\0';
  return -errno;
}

static int
open_new(struct newfile *file, const char *path, enum old old,
         struct vhd_error *err)
{
  struct stat st;

  *file = (struct newfile){ .fd = -1, .dir = -1 };
  file->path = strdup(path);
  if (file->path == NULL)
    return vhd_fail_sys(err, ENOMEM, "%s", path);

  int r = open_folder(file, err);
  if (r == 0)
    r = look_at_old(file, old, &st, err);
  if (r == 0) {
    r = open_temporary(file);
    if (r < 0)
      vhd_fail_sys(err, -r, "%s: cannot create", path);
  }
  /* Replaced, it stays its owner's; who may not give files away keeps it. */
  if (r == 0 && file->old != NULL) {
    if (fchown(file->fd, st.st_uid, st.st_gid) < 0 && errno != EPERM)
      r = vhd_fail_sys(err, errno, "%s: cannot set the owner", path);
    else if (fchmod(file->fd, st.st_mode & 0777) < 0)
      r = vhd_fail_sys(err, errno, "%s: cannot set the mode", path);
  }
  if (r < 0)
    newfile_close(file);
  return r;
}

int
newfile_open(struct newfile *file, const char *path, bool overwrite,
             struct vhd_error *err)
{
  return open_new(file, path, overwrite ? REPLACE_OLD : REFUSE_OLD, err);
}

int
newfile_open_over(struct newfile *file, const char *path,
                  struct vhd_error *err)
{
  return open_new(file, path, REPLACE_HELD, err);
}

/* The host begins early to write what lies before `end` and is dirty, or its
 * disk would stand idle until the commit, which would then wait for all of it.
 * A hint: what comes of it the commit says. */
static void
begin_write_back(struct newfile *file, uint64_t end)
{
  if (end < file->begun || end - file->begun < WRITE_BACK_STEP)
    return;
  sync_file_range(file->fd, (off_t)file->begun, (off_t)(end - file->begun),
                  SYNC_FILE_RANGE_WRITE);
  file->begun = end;
}

int
newfile_write(struct newfile *file, const void *buf, size_t len, uint64_t off,
              struct vhd_error *err)
{
  const char *p = buf;

  while (len > 0) {
    ssize_t n = pwrite(file->fd, p, len, (off_t)off);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return vhd_fail_sys(err, n < 0 ? errno : EIO,
                          "%s: cannot write at %" PRIu64, file->path, off);
    p += n;
    off += (uint64_t)n;
    len -= (size_t)n;
  }
  begin_write_back(file, off);
  return 0;
}

int
newfile_resize(struct newfile *file, uint64_t size, struct vhd_error *err)
{
  if (ftruncate(file->fd, (off_t)size) < 0)
    return vhd_fail_sys(err, errno, "%s: cannot make it %" PRIu64 " bytes long",
                        file->path, size);
  return 0;
}

static int
write_zeros(struct newfile *file, uint64_t size, struct progress *progress,
            struct vhd_error *err)
{
  CLEANUP_FREE void *zeros = calloc(1, ZEROS_SIZE);

  if (zeros == NULL)
    return vhd_fail_sys(err, ENOMEM, "%s", file->path);
  for (uint64_t off = 0; off < size; off += ZEROS_SIZE) {
    const size_t n = (size_t)MIN(ZEROS_SIZE, size - off);
    int r = newfile_write(file, zeros, n, off, err);
    if (r == 0)
      r = progress_add(progress, n, err);
    if (r < 0)
      return r;
  }
  return 0;
}

int
newfile_reserve(struct newfile *file, uint64_t size, struct progress *progress,
                struct vhd_error *err)
{
  /* In steps, between which it can be canceled. */
  for (uint64_t off = 0; off < size; off += RESERVE_STEP) {
    const uint64_t n = MIN(RESERVE_STEP, size - off);
    int r;
    do
      r = fallocate(file->fd, 0, (off_t)off, (off_t)n);
    while (r < 0 && errno == EINTR);
    if (r < 0 && off == 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
      return write_zeros(file, size, progress, err);
    if (r < 0)
      return vhd_fail_sys(err, errno, "%s: cannot set aside %" PRIu64 " bytes",
                          file->path, size);
    r = progress_add(progress, n, err);
    if (r < 0)
      return r;
  }
  return 0;
}

/* Gives a nameless file a name in the folder, which must be free. */
static int
link_nameless(struct newfile *file, const char *name)
{
  char proc[40];

  if (linkat(file->fd, "", file->dir, name, AT_EMPTY_PATH) == 0)
    return 0;
  if (errno == EEXIST)
    return -errno;
  /* Without CAP_DAC_READ_SEARCH this is the way. */
  snprintf(proc, sizeof proc, "/proc/self/fd/%d", file->fd);
  if (linkat(AT_FDCWD, proc, file->dir, name, AT_SYMLINK_FOLLOW) == 0)
    return 0;
  return -errno;
}

/* From the temporary name to a final one that must be free. */
static int
rename_to_free(struct newfile *file)
{
  if (renameat2(file->dir, file->temp, file->dir, file->name,
                RENAME_NOREPLACE) < 0) {
    /* NFS knows no RENAME_NOREPLACE, but links. */
    if (errno != EINVAL && errno != ENOSYS)
      return -errno;
    if (linkat(file->dir, file->temp, file->dir, file->name, 0) < 0)
      return -errno;
    unlinkat(file->dir, file->temp, 0);
  }
  file->temp[0] = '\0';
  return 0;
}

static int
replace_old(struct newfile *file)
{
  if (file->temp[0] == '\0') {
    char temp[sizeof file->temp];
    remove_all_left(file->dir);
    int r = make_temporary_name(temp, sizeof temp);
    if (r < 0)
      return r;
    flock(file->fd, LOCK_EX | LOCK_NB); /* nobody else can have it */
    r = link_nameless(file, temp);
    if (r < 0)
      return r;
    memcpy(file->temp, temp, sizeof temp);
  }
  if (renameat(file->dir, file->temp, file->dir, file->name) < 0)
    return -errno;
  file->temp[0] = '\0';
  return 0;
}

int
newfile_commit(struct newfile *file, struct vhd_error *err)
{
  int r;

  if (RULE(NEW_WHOLE) && fsync(file->fd) < 0)
    return vhd_fail_sys(err, errno, "%s: cannot make it durable", file->path);

  if (file->old != NULL)
    r = replace_old(file);
  else if (file->temp[0] == '\0')
    r = link_nameless(file, file->name);
  else
    r = rename_to_free(file);
  if (r < 0)
    return vhd_fail_sys(err, -r, "%s: cannot give the new file its name",
                        file->path);

  flock(file->fd, LOCK_UN);

  /* Some file systems do not sync folders: nothing to wait for there. */
  if (RULE(NEW_NAME) && fsync(file->dir) < 0 && errno != EINVAL &&
      errno != EROFS)
    return vhd_fail_sys(err, errno, "%s: cannot make its name durable",
                        file->path);
  return 0;
}

void
newfile_close(struct newfile *file)
{
  if (file->temp[0] != '\0')
    unlinkat(file->dir, file->temp, 0);
  if (file->fd >= 0)
    close(file->fd);
  if (file->dir >= 0)
    close(file->dir);
  if (file->old != NULL)
    file_close(file->old);
  free(file->path);
  *file = (struct newfile){ .fd = -1, .dir = -1 };
}
