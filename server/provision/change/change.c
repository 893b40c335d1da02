/* SPDX-License-Identifier: BSD-2-Clause */
/* change.c: new versions, and which of them clients get; see
 * change.h. */
#include "config.h"

#include "provision/change/change.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "provision/disk_text.h"
#include "provision/change/work.h"

static int
check_text(struct disk_work *work, const char *text)
{
  const char *why = disk_text_check(text);

  return why ? fail_argument(work->err, "what is said of the version: %s", why)
             : 0;
}

/* ------------------------------------------------------------- new versions */

/* Is that the one which is asked for, as it was made? */
static bool
is_just_made(struct disk_work *work, const struct disk_version *version,
             unsigned from, const char *text)
{
  const struct vhd_open_options options = {
    .flags = VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED | VHD_OPEN_NO_PARENT,
  };
  struct vhd_image *image;
  struct vhd_info info = { .nblk_allocated = 1 };
  char path[PATH_MAX];

  if (version->parent != from || version->held != VHD_HELD_BY_NOBODY ||
      strcmp(version->text, text) != 0 ||
      disk_work_path(work, version->number, path) < 0 ||
      vhd_open(path, &options, &image, NULL) < 0)
    return false;
  vhd_get_info(image, &info);
  vhd_close(image, NULL);
  return info.nblk_allocated == 0;
}

static int
find_maintenance(struct disk_work *work, unsigned from, const char *text,
                 unsigned *number)
{
  const struct disk_version *version =
    disk_folder_find(&work->folder, work->folder.maintenance);

  if (!version)
    return 0;
  *number = version->number;
  return is_just_made(work, version, from, text)
           ? 1
           : fail_state(work->err, EEXIST,
                        "version %u of '%s' is in maintenance already%s%s: "
                        "test, promote or delete it first",
                        version->number, work->disk,
                        *version->text ? ": " : "", version->text);
}

/* The link leads to nothing until the version has its name, and counts from
 * then on. */
static int
make_version(struct disk_work *work, const struct disk_version *from,
             const char *text, unsigned number)
{
  char path[PATH_MAX], parent[PATH_MAX], beside[PATH_MAX];
  const struct vhd_create_options options = {
    .parent = parent,
    .roots = &work->config->disks,
    .nroots = 1,
  };
  int r = disk_work_path(work, number, path);

  if (r == 0)
    r = disk_work_path(work, from->number, parent);
  if (r == 0)
    r = disk_work_text_path(work, number, beside);
  if (r == 0)
    r = disk_text_write(beside, text, NULL, work->err);
  if (r == 0)
    r = disk_work_link(work, DISK_MAINTENANCE, number);
  return r < 0 ? r : vhd_create(path, &options, work->err);
}

static int
new_version(struct disk_work *work, unsigned from, const char *text,
            unsigned *number)
{
  struct disk_version *parent;
  int r = check_text(work, text);

  if (from == 0)
    from = work->folder.production;
  if (r == 0 && from == 0)
    r = fail_state(work->err, ENOENT,
                   "nothing of '%s' is in production, of which a new version "
                   "could be a child: promote a version, or name one",
                   work->disk);
  if (r == 0)
    r = disk_work_need(work, from, &parent);
  if (r == 0)
    r = find_maintenance(work, from, text, number);
  if (r != 0)
    return r < 0 ? r : 0;
  *number = disk_work_next(work);
  return make_version(work, parent, text, *number);
}

int
disk_new_version(const struct provision_config *config, const char *disk,
                 unsigned from, const char *text, unsigned *number,
                 struct vhd_error *err)
{
  struct disk_work work;
  int r = disk_work_begin(&work, config, disk, err);

  if (r == 0)
    r = new_version(&work, from, text, number);
  return disk_work_end(&work, r);
}

int
disk_describe(const struct provision_config *config, const char *disk,
              unsigned number, const char *text, struct vhd_error *err)
{
  struct disk_version *version;
  struct disk_work work;
  char path[PATH_MAX];
  int r = disk_work_begin(&work, config, disk, err);

  if (r == 0)
    r = check_text(&work, text);
  if (r == 0)
    r = disk_work_need(&work, number, &version);
  if (r == 0)
    r = disk_work_text_path(&work, number, path);
  if (r == 0)
    r = disk_text_write(path, text, *version->client ? version->client : NULL,
                        err);
  return disk_work_end(&work, r);
}

/* ------------------------------------------------- what clients get of them */

/* A link leads to the version, which is golden from then on, as all see; that
 * its file cannot be written to any more, and whatever else speaks of it, comes
 * behind. */
static int
lead(struct disk_work *work, const char *link, unsigned number)
{
  struct vhd_image *image = NULL;
  char path[PATH_MAX];
  int r = disk_work_path(work, number, path);

  if (r == 0)
    r = disk_work_hold(work, path, &image);
  if (r == 0)
    r = disk_work_link(work, link, number);
  vhd_close(image, NULL);
  return r;
}

/* As disk_work_begin() finds it, too. */
static int
follow(struct disk_work *work, unsigned number)
{
  int r = disk_work_seal(work, number);

  if (r == 0 && work->folder.maintenance == number)
    r = disk_work_link(work, DISK_MAINTENANCE, 0);
  return r;
}

int
disk_test(const struct provision_config *config, const char *disk,
          unsigned number, struct vhd_error *err)
{
  struct disk_version *version;
  struct disk_work work;
  int r = disk_work_begin(&work, config, disk, err);

  if (r < 0)
    return disk_work_end(&work, r);
  if (number == 0 || number == work.folder.production)
    return disk_work_end(&work, disk_work_link(&work, DISK_TEST, 0));
  r = disk_work_need(&work, number, &version);
  if (r == 0)
    r = lead(&work, DISK_TEST, number);
  if (r == 0)
    r = follow(&work, number);
  return disk_work_end(&work, r);
}

/* It is beside the version that it counts for, and means nothing before that is
 * in production. */
static int
remember(struct disk_work *work, unsigned number)
{
  char link[32];

  if (work->folder.production == 0)
    return 0;
  snprintf(link, sizeof link, "%u.replaced", number);
  return disk_work_link(work, link, work->folder.production);
}

int
disk_work_promote(struct disk_work *work, unsigned number)
{
  struct disk_version *version;
  int r = disk_work_need(work, number, &version);

  if (r < 0)
    return r;
  if (work->folder.production == number)
    return disk_work_unschedule(work, number);
  r = remember(work, number);
  if (r == 0)
    r = lead(work, DISK_PRODUCTION, number);
  if (r == 0 && work->folder.test == number)
    r = disk_work_link(work, DISK_TEST, 0);
  if (r == 0)
    r = disk_work_unschedule(work, number);
  return r < 0 ? r : follow(work, number);
}

int
disk_promote(const struct provision_config *config, const char *disk,
             unsigned number, struct vhd_error *err)
{
  struct disk_work work;
  int r = disk_work_begin(&work, config, disk, err);

  if (r == 0)
    r = disk_work_promote(&work, number);
  return disk_work_end(&work, r);
}

/* Did it lead from that version to the one that is in production now? */
static bool
was_done(struct disk_work *work, unsigned from)
{
  char link[32];

  snprintf(link, sizeof link, "%u.replaced", from);
  const int number = disk_folder_link(work->fd, link);
  return number > 0 && (unsigned)number == work->folder.production;
}

static int
roll_back(struct disk_work *work, unsigned from, unsigned *number)
{
  const struct disk_folder *folder = &work->folder;

  *number = folder->production;
  if (from != 0 && from != folder->production)
    return was_done(work, from)
             ? 0
             : fail_state(work->err, ESTALE,
                          "version %u of '%s' is in production, and not %u: "
                          "somebody has changed that meanwhile",
                          folder->production, work->disk, from);
  if (folder->previous == 0)
    return fail_state(
      work->err, ENOENT,
      "nothing is known to have been in production of '%s' "
      "before version %u, or it is not there any more: promote "
      "the version that you want",
      work->disk, folder->production);
  /* That it was to be promoted is over, too. */
  const int r = disk_work_unschedule(work, folder->production);
  *number = folder->previous;
  return r < 0 ? r : lead(work, DISK_PRODUCTION, folder->previous);
}

int
disk_rollback(const struct provision_config *config, const char *disk,
              unsigned from, unsigned *number, struct vhd_error *err)
{
  struct disk_work work;
  int r = disk_work_begin(&work, config, disk, err);

  if (r == 0)
    r = roll_back(&work, from, number);
  return disk_work_end(&work, r);
}
