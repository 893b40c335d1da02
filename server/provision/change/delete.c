/* SPDX-License-Identifier: BSD-2-Clause */
/* delete.c: disk_delete(), and what a version cannot be deleted for. */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "provision/child.h"
#include "provision/change/work.h"
#include "provision/disk_schedule.h"

/* So many clients are named. */
#define NAMED 5

/* What depends on it, as a list of words. */
struct needs {
  const char *id;
  char text[700];
  unsigned n, children;
};

__attribute__((format(printf, 2, 3))) static void
add(struct needs *needs, const char *fmt, ...)
{
  const size_t at = strlen(needs->text);
  va_list args;

  if (needs->n++ > 0)
    snprintf(needs->text + at, sizeof needs->text - at, "; ");
  va_start(args, fmt);
  vsnprintf(needs->text + strlen(needs->text),
            sizeof needs->text - strlen(needs->text), fmt, args);
  va_end(args);
}

static void
add_links(struct needs *needs, const struct disk_folder *folder,
          unsigned number)
{
  if (folder->production == number)
    add(needs, "it is in production");
  if (folder->test == number)
    add(needs, "it is being tested");
}

static void
add_schedule(struct needs *needs, struct disk_work *work, unsigned number)
{
  struct disk_schedule schedule;

  if (disk_schedule_read(work->fd, &schedule) == 0 &&
      schedule.number == number)
    add(needs, "it is scheduled to be promoted");
}

static void
add_versions(struct needs *needs, const struct disk_folder *folder,
             unsigned number)
{
  for (size_t i = 0; i < folder->n; i++)
    if (folder->versions[i].parent == number)
      add(needs, "version %u is a child of it", folder->versions[i].number);
}

static int
hear(void *opaque, const struct child *child)
{
  struct needs *needs = opaque;

  if (!needs->id[0] || strcmp(child->parent_id, needs->id) != 0)
    return 0;
  if (++needs->children <= NAMED)
    add(needs, "client %.40s%s stands on it", child->client,
        strlen(child->client) > 40 ? "..." : "");
  return 0;
}

static void
add_holders(struct needs *needs, const struct disk_version *version)
{
  if (version->held != VHD_HELD_BY_NOBODY)
    add(needs, "somebody %s it",
        version->held == VHD_HELD_WRITING ? "writes to" : "reads");
}

static int
check_needs(struct disk_work *work, const struct disk_version *version)
{
  struct needs needs = { .id = version->id };
  int r;

  add_links(&needs, &work->folder, version->number);
  add_schedule(&needs, work, version->number);
  add_versions(&needs, &work->folder, version->number);
  add_holders(&needs, version);
  r = child_each(work->config, work->disk, NULL, hear, &needs);
  if (r < 0)
    return fail_system(work->err, -r, "the children of '%s' cannot be listed",
                       work->disk);
  if (needs.children > NAMED)
    add(&needs, "so do %u other clients", needs.children - NAMED);
  return needs.n == 0 ? 0
                      : fail_state(work->err, EBUSY,
                                   "version %u of '%s' cannot be deleted: %s",
                                   version->number, work->disk, needs.text);
}

/* The version goes first: of one that is not there, nothing else counts. */
static int
remove_all(struct disk_work *work, unsigned number)
{
  static const char *const beside[] = { "txt", "replaced" };
  char name[32];

  snprintf(name, sizeof name, "%u.vhd", number);
  int r = disk_work_unlink(work, name);
  if (r == 0)
    r = disk_work_sync(work);
  for (size_t i = 0; r == 0 && i < sizeof beside / sizeof *beside; i++) {
    snprintf(name, sizeof name, "%u.%s", number, beside[i]);
    r = disk_work_unlink(work, name);
  }
  if (r == 0 && work->folder.maintenance == number)
    r = disk_work_unlink(work, DISK_MAINTENANCE);
  return r < 0 ? r : disk_work_sync(work);
}

int
disk_delete(const struct provision_config *config, const char *disk,
            unsigned number, struct vhd_error *err)
{
  struct disk_version *version;
  struct disk_work work;
  int r = disk_work_begin(&work, config, disk, err);

  if (r == 0)
    r = disk_work_need(&work, number, &version);
  if (r == 0)
    r = check_needs(&work, version);
  if (r == 0)
    r = remove_all(&work, number);
  return disk_work_end(&work, r);
}
