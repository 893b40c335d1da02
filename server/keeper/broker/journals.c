/* SPDX-License-Identifier: BSD-2-Clause */
/* journals.c: journals for the worker; see journals.h. */
#include "config.h"

#include "keeper/broker/journals.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vhdkit.h"

/* -------------------------------------------------------------- the folders */

#define SHARED "/dev/shm"
#define RUNTIME "/run/user"

bool
journals_lie_below(const char *folder)
{
  return strcmp(folder, SHARED) == 0 || strcmp(folder, RUNTIME) == 0;
}

/* The user after whom a folder for journals is called; -1: nobody. */
static long
named_user(const char *folder)
{
  unsigned uid;
  int n = 0;

  if (sscanf(folder, SHARED "/vhdkit-%u%n", &uid, &n) == 1 &&
      folder[n] == '\0')
    return uid;
  n = 0;
  return sscanf(folder, RUNTIME "/%u/vhdkit%n", &uid, &n) == 1 && n > 0 &&
             folder[n] == '\0'
           ? (long)uid
           : -1;
}

/* Everybody may make names in /dev/shm. */
static bool
is_place(int fd, const char *folder)
{
  struct stat st;
  struct statfs fs;

  return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && fstatfs(fd, &fs) == 0 &&
         (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) &&
         (st.st_uid == 0 || st.st_uid == geteuid() ||
          (long)st.st_uid == named_user(folder));
}

struct wanted {
  dev_t dev;
  ino_t ino;
};

/* Is the wanted folder this one, and one for journals?  Only the setting of the
 * administrator may be a link. */
static int
is_wanted(void *opaque, const char *folder)
{
  const struct wanted *wanted = opaque;
  const char *set = getenv("VHDKIT_JOURNAL_DIR");
  const bool link = set != NULL && strcmp(set, folder) == 0;
  struct stat st;

  int fd =
    open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC | (link ? 0 : O_NOFOLLOW));
  if (fd < 0)
    return 0;
  const bool it_is = fstat(fd, &st) == 0 && st.st_dev == wanted->dev &&
                     st.st_ino == wanted->ino && is_place(fd, folder);
  close(fd);
  return it_is;
}

static bool
is_remembered(const struct journals *journals, const struct wanted *wanted)
{
  for (size_t i = 0; i < JOURNALS_PLACES; i++)
    if (journals->place[i].dev == wanted->dev &&
        journals->place[i].ino == wanted->ino)
      return true;
  return false;
}

/* In the place of the oldest. */
static void
remember(struct journals *journals, const struct wanted *wanted)
{
  const size_t i = journals->n++ % JOURNALS_PLACES;

  journals->place[i].dev = wanted->dev;
  journals->place[i].ino = wanted->ino;
}

static bool
is_known(struct journals *journals, int folder)
{
  struct stat st;

  if (fstat(folder, &st) < 0 || !S_ISDIR(st.st_mode))
    return false;
  struct wanted wanted = { st.st_dev, st.st_ino };
  if (journals->any || is_remembered(journals, &wanted))
    return true;
  if (vhd_journal_places(false, is_wanted, &wanted) != 1)
    return false;
  remember(journals, &wanted);
  return true;
}

/* ------------------------------------------------------------------ in them */

static bool
is_journal(const char *name)
{
  return strchr(name, '/') == NULL && strstr(name, ".journal") != NULL;
}

static bool
may(struct journals *journals, int folder, const char *name)
{
  return folder >= 0 && is_journal(name) && is_known(journals, folder);
}

/* Looked at first: to open a device or a FIFO may do something. */
int
journals_read(struct journals *journals, int folder, const char *name)
{
  struct stat before, after;

  if (!may(journals, folder, name))
    return -EACCES;
  if (fstatat(folder, name, &before, AT_SYMLINK_NOFOLLOW) < 0)
    return -errno;
  if (!S_ISREG(before.st_mode))
    return -EACCES;
  int fd = openat(folder, name,
                  O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  if (fstat(fd, &after) < 0 || !S_ISREG(after.st_mode)) {
    close(fd);
    return -EACCES;
  }
  return fd;
}

int
journals_make(struct journals *journals, int folder, const char *name)
{
  if (!may(journals, folder, name))
    return -EACCES;
  int fd = openat(folder, name,
                  O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  return fd < 0 ? -errno : fd;
}

int
journals_unlink(struct journals *journals, int folder, const char *name)
{
  return !may(journals, folder, name)    ? -EACCES
         : unlinkat(folder, name, 0) < 0 ? -errno
                                         : 0;
}

int
journals_rename(struct journals *journals, int folder, const char *from,
                const char *to)
{
  return !may(journals, folder, from) || !is_journal(to) ? -EACCES
         : renameat(folder, from, folder, to) < 0        ? -errno
                                                         : 0;
}

static int
is_the_same(void *opaque, const char *folder)
{
  return strcmp(opaque, folder) == 0;
}

int
journals_make_place(const char *path)
{
  if (vhd_journal_places(false, is_the_same, (void *)(uintptr_t)path) != 1)
    return -EACCES;
  return mkdir(path, 0700) < 0 ? -errno : 0;
}
