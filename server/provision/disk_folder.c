/* SPDX-License-Identifier: BSD-2-Clause */
/* disk_folder.c: see disk_folder.h. */
#include "config.h"

#include "provision/disk_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "provision/disk_name.h"
#include "provision/disk_text.h"

#define SUFFIX ".vhd"

/* -------------------------------------------------------------------- names */

/* "3.vhd" is 3; else 0. */
static unsigned
number_of(const char *name)
{
  char digits[16];
  const size_t len = strlen(name), suffix = strlen(SUFFIX);

  if (len <= suffix || len - suffix >= sizeof digits ||
      strcmp(name + len - suffix, SUFFIX) != 0)
    return 0;
  memcpy(digits, name, len - suffix);
  digits[len - suffix] = '\0';
  return disk_name_number(digits);
}

static int
fits(int n, size_t size)
{
  return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

int
disk_folder_file(const char *disks, const char *disk, unsigned number,
                 char *path, size_t size)
{
  return fits(snprintf(path, size, "%s/%s/%u" SUFFIX, disks, disk, number),
              size);
}

/* -------------------------------------------------------------------- links */

int
disk_folder_link(int folder, const char *link)
{
  char text[32];
  const ssize_t n = readlinkat(folder, link, text, sizeof text);

  if (n < 0)
    return errno == ENOENT ? 0 : -errno;
  if ((size_t)n == sizeof text)
    return -EINVAL;
  text[n] = '\0';
  const unsigned number = number_of(text);
  return number > 0 ? (int)number : -EINVAL;
}

/* The file of that number; false: there is none. */
static bool
look_at(int folder, unsigned number, struct stat *st)
{
  char name[32];

  snprintf(name, sizeof name, "%u" SUFFIX, number);
  return number > 0 && fstatat(folder, name, st, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISREG(st->st_mode);
}

static bool
is_sealed(const struct stat *st)
{
  return (st->st_mode & (S_IWUSR | S_IWGRP | S_IWOTH)) == 0;
}

/* What is left of a link when all was done for which it was made does not
 * count, nor what leads to a version that is not there yet. */
static unsigned
maintained(int folder, unsigned production, unsigned test)
{
  const int number = disk_folder_link(folder, DISK_MAINTENANCE);
  struct stat st;

  return number > 0 && (unsigned)number != production &&
             (unsigned)number != test &&
             look_at(folder, (unsigned)number, &st) && !is_sealed(&st)
           ? (unsigned)number
           : 0;
}

static unsigned
number_in(int folder, const char *version)
{
  const int production = disk_folder_link(folder, DISK_PRODUCTION);
  const int test = disk_folder_link(folder, DISK_TEST);
  const unsigned of_production = production > 0 ? (unsigned)production : 0;
  const unsigned of_test = test > 0 ? (unsigned)test : 0;

  return strcmp(version, DISK_PRODUCTION) == 0 ? of_production
         : strcmp(version, DISK_TEST) == 0     ? of_test
         : strcmp(version, DISK_MAINTENANCE) == 0
           ? maintained(folder, of_production, of_test)
           : disk_name_number(version);
}

static int
open_folder(const char *disks, const char *disk)
{
  char path[PATH_MAX];

  if (!disk_name_is_disk(disk))
    return -EINVAL;
  if (fits(snprintf(path, sizeof path, "%s/%s", disks, disk), sizeof path) < 0)
    return -ENAMETOOLONG;
  /* It need not be listed by who looks for one name. */
  const int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int
disk_folder_version_path(const char *disks, const char *disk,
                         const char *version, char *path, size_t size,
                         unsigned *number)
{
  struct stat st;

  if (!disk_name_is_version(version))
    return -EINVAL;
  const int folder = open_folder(disks, disk);
  if (folder < 0)
    return folder;
  const unsigned found = number_in(folder, version);
  const bool there = look_at(folder, found, &st);
  const bool strays = disk_name_number(version) == 0 &&
                      disk_folder_link(folder, version) < 0;
  close(folder);
  if (strays || !there)
    return strays ? -EINVAL : -ENOENT;
  if (number)
    *number = found;
  return disk_folder_file(disks, disk, found, path, size);
}

bool
disk_folder_may_be_due(const char *disks, const char *disk, int64_t now)
{
  struct disk_schedule schedule;
  const int fd = open_folder(disks, disk);
  const int r = fd < 0 ? fd : disk_schedule_read(fd, &schedule);

  if (fd >= 0)
    close(fd);
  return r < 0 || (schedule.number > 0 && schedule.when <= now);
}

int
disk_folder_number(const char *disks, const char *disk, const char *version,
                   unsigned *number)
{
  char path[PATH_MAX];

  *number = 0;
  return disk_folder_version_path(disks, disk, version, path, sizeof path,
                                  number);
}

int
disk_folder_version_for(const char *disks, const char *disk,
                        const char *version, char *path, size_t size,
                        unsigned *number)
{
  const int r =
    disk_folder_version_path(disks, disk, version, path, size, number);

  return r == -ENOENT && strcmp(version, DISK_TEST) == 0
           ? disk_folder_version_path(disks, disk, DISK_PRODUCTION, path, size,
                                      number)
           : r;
}

int
disk_folder_lock(const char *disks, const char *disk, bool shared,
                 struct vhd_error *err)
{
  char path[PATH_MAX];

  if (!disk_name_is_disk(disk))
    return fail_argument(err, "'%s' is no name of a disk", disk);
  if (fits(snprintf(path, sizeof path, "%s/%s", disks, disk), sizeof path) < 0)
    return fail_argument(err, "%s: the path is too long", disks);
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT
             ? fail_state(err, ENOENT, "there is no disk '%s': no folder %s",
                          disk, path)
             : fail_system(err, errno, "%s", path);
  while (flock(fd, shared ? LOCK_SH : LOCK_EX) < 0) {
    if (errno != EINTR) {
      const int sys = errno;
      close(fd);
      return fail_system(err, sys, "%s: cannot be locked", path);
    }
  }
  return fd;
}

/* ----------------------------------------------------------------- versions */

static int
hear(void *opaque, const struct vhd_list_item *item)
{
  struct disk_version *version = opaque;

  version->sound = item->code == VHD_OK;
  version->held = item->held;
  version->size = item->size;
  version->actual_size = item->actual_size;
  snprintf(version->id, sizeof version->id, "%s", item->id_text);
  snprintf(version->parent_id, sizeof version->parent_id, "%s",
           item->parent_id_text);
  return 0;
}

/* What cannot be read is a version all the same. */
static void
read_version(const char *disks, const char *disk, int dir,
             struct disk_version *version)
{
  const struct vhd_list_options options = {
    .open = { .roots = &disks, .nroots = 1 },
  };
  char path[PATH_MAX];
  struct stat st;

  if (look_at(dir, version->number, &st)) {
    version->sealed = is_sealed(&st);
    version->changed = st.st_mtim.tv_sec;
  }
  if (disk_folder_file(disks, disk, version->number, path, sizeof path) == 0)
    vhd_list(path, &options, hear, version, NULL);
  disk_text_read(dir, version->number, version->text, version->client,
                 sizeof version->text);
}

static int
add_version(struct disk_folder *folder, unsigned number)
{
  struct disk_version *versions =
    reallocarray(folder->versions, folder->n + 1, sizeof *versions);

  if (!versions)
    return -ENOMEM;
  folder->versions = versions;
  versions[folder->n++] = (struct disk_version){ .number = number };
  return 0;
}

static int
by_number(const void *a, const void *b)
{
  const struct disk_version *x = a, *y = b;

  return (x->number > y->number) - (x->number < y->number);
}

static int
read_names(int fd, struct disk_folder *folder)
{
  const int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = copy < 0 ? NULL : fdopendir(copy);
  const struct dirent *entry;
  struct stat st;
  int r = 0;

  if (!dir) {
    r = -errno;
    if (copy >= 0)
      close(copy);
    return r;
  }
  for (errno = 0; r == 0 && (entry = readdir(dir)) != NULL; errno = 0) {
    const unsigned number = number_of(entry->d_name);
    if (look_at(fd, number, &st))
      r = add_version(folder, number);
  }
  if (r == 0)
    r = -errno;
  closedir(dir);
  return r;
}

static void
find_parents(struct disk_folder *folder)
{
  for (size_t i = 0; i < folder->n; i++) {
    struct disk_version *version = &folder->versions[i];
    const struct disk_version *parent =
      disk_folder_find_id(folder, version->parent_id);
    version->parent = parent ? parent->number : 0;
  }
}

static unsigned
previous_of(int fd, const struct disk_folder *folder)
{
  char name[32];

  snprintf(name, sizeof name, "%u.replaced", folder->production);
  const int number = folder->production ? disk_folder_link(fd, name) : 0;
  return number > 0 && disk_folder_find(folder, (unsigned)number)
           ? (unsigned)number
           : 0;
}

int
disk_folder_read(const char *disks, const char *disk,
                 struct disk_folder *folder, struct vhd_error *err)
{
  *folder = (struct disk_folder){ .n = 0 };
  const int fd = open_folder(disks, disk);
  if (fd < 0)
    return fd == -ENOENT || fd == -EINVAL
             ? fail_state(err, -fd, "there is no disk '%s' in %s", disk, disks)
             : fail_system(err, -fd, "%s/%s", disks, disk);
  const int r = read_names(fd, folder);
  if (r == 0) {
    if (folder->n > 0)
      qsort(folder->versions, folder->n, sizeof *folder->versions, by_number);
    for (size_t i = 0; i < folder->n; i++)
      read_version(disks, disk, fd, &folder->versions[i]);
    find_parents(folder);
    folder->production = number_in(fd, DISK_PRODUCTION);
    folder->test = number_in(fd, DISK_TEST);
    folder->maintenance = number_in(fd, DISK_MAINTENANCE);
    folder->previous = previous_of(fd, folder);
    disk_schedule_read(fd, &folder->schedule);
  }
  close(fd);
  return r < 0 ? fail_system(err, -r, "%s/%s", disks, disk) : 0;
}

void
disk_folder_free(struct disk_folder *folder)
{
  free(folder->versions);
  *folder = (struct disk_folder){ .n = 0 };
}

struct disk_version *
disk_folder_find(const struct disk_folder *folder, unsigned number)
{
  for (size_t i = 0; number > 0 && i < folder->n; i++)
    if (folder->versions[i].number == number)
      return &folder->versions[i];
  return NULL;
}

struct disk_version *
disk_folder_find_id(const struct disk_folder *folder, const char *id)
{
  for (size_t i = 0; *id && i < folder->n; i++)
    if (strcmp(folder->versions[i].id, id) == 0)
      return &folder->versions[i];
  return NULL;
}
