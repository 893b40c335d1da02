/* SPDX-License-Identifier: BSD-2-Clause */
/* work.c: see work.h. */
#include "config.h"

#include "provision/change/work.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "provision/child.h"
#include "provision/disk_schedule.h"

/* What becomes a link is called so, before its name. */
#define NEW ".new-"

int
disk_work_sync(struct disk_work *work)
{
  return fsync(work->fd) == 0 ? 0
                              : fail_system(work->err, errno, "%s/%s",
                                            work->config->disks, work->disk);
}

int
disk_work_unlink(struct disk_work *work, const char *name)
{
  return unlinkat(work->fd, name, 0) == 0 || errno == ENOENT
           ? 0
           : fail_system(work->err, errno, "%s/%s/%s", work->config->disks,
                         work->disk, name);
}

int
disk_work_path(struct disk_work *work, unsigned number, char *path)
{
  return disk_folder_file(work->config->disks, work->disk, number, path,
                          PATH_MAX) == 0
           ? 0
           : fail_argument(work->err, "%s: the path is too long",
                           work->config->disks);
}

int
disk_work_text_path(struct disk_work *work, unsigned number, char *path)
{
  const int n = snprintf(path, PATH_MAX, "%s/%s/%u.txt", work->config->disks,
                         work->disk, number);

  return n < PATH_MAX ? 0
                      : fail_argument(work->err, "%s: the path is too long",
                                      work->config->disks);
}

/* -------------------------------------------------------------------- links */

static int
make_link(struct disk_work *work, const char *link, unsigned number)
{
  char new[64], to[32];

  snprintf(new, sizeof new, NEW "%s", link);
  snprintf(to, sizeof to, "%u.vhd", number);
  int r = disk_work_unlink(work, new);
  if (r == 0 && (symlinkat(to, work->fd, new) < 0 ||
                 renameat(work->fd, new, work->fd, link) < 0))
    r = fail_system(work->err, errno, "%s/%s/%s", work->config->disks,
                    work->disk, link);
  return r;
}

int
disk_work_link(struct disk_work *work, const char *link, unsigned number)
{
  const int r = number > 0 ? make_link(work, link, number)
                           : disk_work_unlink(work, link);

  return r < 0 ? r : disk_work_sync(work);
}

int
disk_work_unschedule(struct disk_work *work, unsigned number)
{
  struct disk_schedule schedule;

  if (disk_schedule_read(work->fd, &schedule) < 0 || schedule.number == 0 ||
      schedule.number != number)
    return 0;
  const int r = disk_work_unlink(work, DISK_SCHEDULE);
  return r < 0 ? r : disk_work_sync(work);
}

/* ------------------------------------------------------------------- images */

static struct vhd_open_options
open_options(const struct disk_work *work, uint32_t flags)
{
  return (struct vhd_open_options){
    .flags = flags,
    .roots = &work->config->disks,
    .nroots = 1,
  };
}

/* For us; who may write to everything goes by what the others may. */
static bool
is_writable(const char *path)
{
  struct stat st;

  return stat(path, &st) == 0 &&
         (st.st_mode & (S_IWUSR | S_IWGRP | S_IWOTH)) != 0 &&
         faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

int
disk_work_hold(struct disk_work *work, const char *path,
               struct vhd_image **image)
{
  const struct vhd_open_options write = open_options(work, 0);
  const struct vhd_open_options read = open_options(work, VHD_OPEN_READONLY);
  int r = 0;

  if (is_writable(path)) {
    r = vhd_open(path, &write, image, work->err);
    if (r == 0)
      r = vhd_close(*image, work->err);
  }
  return r < 0 ? r : vhd_open(path, &read, image, work->err);
}

/* A child that was somewhere else before names its parent where that lies, as
 * seen from here. */
static int
lead_to_parent(struct disk_work *work, unsigned number, const char *path)
{
  const struct disk_version *version = disk_folder_find(&work->folder, number);
  char parent[PATH_MAX];
  const struct vhd_set_options options = {
    .open = open_options(work, 0),
    .parent = parent,
  };

  if (!version || version->parent == 0 || version->client[0] == '\0')
    return 0;
  const int r = disk_work_path(work, version->parent, parent);
  return r < 0 ? r : vhd_set(path, &options, work->err);
}

int
disk_work_forbid(struct disk_work *work, const char *path)
{
  struct stat st;
  int r = 0;

  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 || fstat(fd, &st) < 0 ||
      fchmod(fd, st.st_mode & 07777 & ~(mode_t)0222) < 0 || fsync(fd) < 0)
    r =
      errno == EPERM
        ? fail_state(work->err, EPERM,
                     "%s can be written to, and belongs to another user, who "
                     "alone can forbid that: chmod a-w",
                     path)
        : fail_system(work->err, errno, "%s", path);
  if (fd >= 0)
    close(fd);
  return r;
}

/* What a killed one began to change in its file. */
static int
finish_change(struct disk_work *work, const char *path)
{
  const struct vhd_open_options write = open_options(work, 0);
  struct vhd_image *image;
  char companion[PATH_MAX];
  struct stat st;
  const int n =
    snprintf(companion, sizeof companion, "%s%s", path, VHD_COMPANION_SUFFIX);

  if (n >= (int)sizeof companion || stat(companion, &st) < 0)
    return 0;
  const int r = vhd_open(path, &write, &image, work->err);
  return r < 0 ? r : vhd_close(image, work->err);
}

/* Somebody else's file, to which we cannot write, is his affair. */
int
disk_work_seal(struct disk_work *work, unsigned number)
{
  char path[PATH_MAX];
  int r = disk_work_path(work, number, path);

  if (r < 0 || !is_writable(path))
    return r;
  r = finish_change(work, path);
  if (r == 0)
    r = lead_to_parent(work, number, path);
  return r < 0 ? r : disk_work_forbid(work, path);
}

/* ------------------------------------------------------------ what was left */

/* Of what there is no version of that number, nothing else is kept; nor what
 * was being made. */
static int
forget(struct disk_work *work, const char *name)
{
  const size_t len = strspn(name, "0123456789");
  const char *rest = name + len;
  char number[16] = "";

  if (strncmp(name, NEW, strlen(NEW)) == 0)
    return disk_work_unlink(work, name);
  if (len == 0 || len >= sizeof number ||
      (strcmp(rest, ".txt") != 0 && strcmp(rest, ".replaced") != 0 &&
       strcmp(rest, ".vhd" VHD_COMPANION_SUFFIX) != 0))
    return 0;
  memcpy(number, name, len);
  return disk_folder_find(&work->folder, disk_name_number(number))
           ? 0
           : disk_work_unlink(work, name);
}

static int
forget_all(struct disk_work *work)
{
  const struct dirent *entry;
  const int copy = openat(work->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = copy < 0 ? NULL : fdopendir(copy);
  int r = 0;

  if (!dir) {
    if (copy >= 0)
      close(copy);
    return fail_system(work->err, errno, "%s/%s", work->config->disks,
                       work->disk);
  }
  while (r == 0 && (entry = readdir(dir)) != NULL)
    r = forget(work, entry->d_name);
  closedir(dir);
  return r;
}

static int
seal_all(struct disk_work *work)
{
  struct disk_folder *folder = &work->folder;
  int r = 0;

  for (size_t i = 0; r == 0 && i < folder->n; i++) {
    struct disk_version *version = &folder->versions[i];
    /* One that somebody still writes to is being made by hand. */
    if (version->sealed || version->number == folder->maintenance ||
        version->held == VHD_HELD_WRITING)
      continue;
    r = disk_work_seal(work, version->number);
    version->sealed = r == 0;
  }
  return r;
}

/* A link that does not count any more goes. */
static int
drop_maintenance(struct disk_work *work)
{
  const int number = disk_folder_link(work->fd, DISK_MAINTENANCE);

  return number > 0 && (unsigned)number != work->folder.maintenance
           ? disk_work_link(work, DISK_MAINTENANCE, 0)
           : 0;
}

static int
drop_test(struct disk_work *work)
{
  struct disk_folder *folder = &work->folder;

  if (folder->test == 0 || folder->test != folder->production)
    return 0;
  folder->test = 0;
  return disk_work_link(work, DISK_TEST, 0);
}

/* Of a child that was copied to be a version the file is left.  Where somebody
 * has it open it is the next one's to remove. */
static void
drop_applied(struct disk_work *work)
{
  const struct disk_folder *folder = &work->folder;
  struct child child;

  for (size_t i = 0; i < folder->n; i++) {
    const struct disk_version *version = &folder->versions[i];
    if (version->client[0] &&
        child_look(work->config, work->disk, version->client, NULL, &child) ==
          0 &&
        child_is_version(&child, version))
      child_remove(work->config, work->disk, version->client, NULL);
  }
}

static int
settle(struct disk_work *work)
{
  int r = drop_maintenance(work);

  if (r == 0)
    r = drop_test(work);
  if (r == 0)
    r = seal_all(work);
  if (r == 0)
    drop_applied(work);
  return r < 0 ? r : forget_all(work);
}

int
disk_work_begin(struct disk_work *work, const struct provision_config *config,
                const char *disk, struct vhd_error *err)
{
  *work = (struct disk_work){ .config = config, .disk = disk, .err = err };
  work->fd = disk_folder_lock(config->disks, disk, false, err);
  if (work->fd < 0)
    return work->fd;
  return disk_work_again(work);
}

int
disk_work_again(struct disk_work *work)
{
  disk_folder_free(&work->folder);
  const int r = disk_folder_read(work->config->disks, work->disk,
                                 &work->folder, work->err);
  return r < 0 ? r : settle(work);
}

int
disk_work_end(struct disk_work *work, int r)
{
  disk_folder_free(&work->folder);
  if (work->fd >= 0)
    close(work->fd);
  return r;
}

int
disk_settle(const struct provision_config *config, const char *disk,
            struct vhd_error *err)
{
  struct disk_work work;

  return disk_work_end(&work, disk_work_begin(&work, config, disk, err));
}

/* ----------------------------------------------------------------- versions */

int
disk_work_need(struct disk_work *work, unsigned number,
               struct disk_version **version)
{
  const struct disk_folder *folder = &work->folder;

  *version = disk_folder_find(folder, number);
  if (*version)
    return 0;
  return folder->n == 0
           ? fail_state(
               work->err, ENOENT,
               "the disk '%s' has no versions yet: make its first one "
               "with \"vhdkit create\" or \"vhdkit convert\", as "
               "%s/%s/1.vhd",
               work->disk, work->config->disks, work->disk)
           : fail_state(
               work->err, ENOENT,
               "the disk '%s' has no version %u; its versions go from "
               "%u to %u",
               work->disk, number, folder->versions[0].number,
               folder->versions[folder->n - 1].number);
}

unsigned
disk_work_next(const struct disk_work *work)
{
  const struct disk_folder *folder = &work->folder;

  return folder->n > 0 ? folder->versions[folder->n - 1].number + 1 : 1;
}
