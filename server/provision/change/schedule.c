/* SPDX-License-Identifier: BSD-2-Clause */
/* schedule.c: promotions that are to come; see change.h. */
#include "config.h"

#include <errno.h>
#include <stdio.h>

#include "base/error.h"
#include "provision/change/work.h"
#include "provision/disk_schedule.h"

int
disk_work_scheduled(struct disk_work *work, struct disk_schedule *schedule)
{
  const int r = disk_schedule_read(work->fd, schedule);

  return r == 0 ? 0
         : r == -EINVAL
           ? fail_state(work->err, EINVAL,
                        "%s/%s/" DISK_SCHEDULE " does not say \"promote 3 at "
                        "2026-12-01T03:00:00Z\": put it right, or remove it",
                        work->config->disks, work->disk)
           : fail_system(work->err, -r, "%s/%s/" DISK_SCHEDULE,
                         work->config->disks, work->disk);
}

static int
write_down(struct disk_work *work, const struct disk_schedule *schedule)
{
  struct disk_version *version;
  char path[PATH_MAX];
  int r = disk_work_need(work, schedule->number, &version);

  if (r == 0 && snprintf(path, sizeof path, "%s/%s/" DISK_SCHEDULE,
                         work->config->disks, work->disk) >= (int)sizeof path)
    r = fail_argument(work->err, "%s: the path is too long",
                      work->config->disks);
  return r < 0 ? r : disk_schedule_write(path, schedule, work->err);
}

static int
forget(struct disk_work *work)
{
  const int r = disk_work_unlink(work, DISK_SCHEDULE);

  return r < 0 ? r : disk_work_sync(work);
}

int
disk_schedule(const struct provision_config *config, const char *disk,
              unsigned number, int64_t when, struct vhd_error *err)
{
  const struct disk_schedule schedule = { number, when };
  struct disk_work work;
  int r = disk_work_begin(&work, config, disk, err);

  if (r == 0)
    r = number > 0 ? write_down(&work, &schedule) : forget(&work);
  return disk_work_end(&work, r);
}

int
disk_promote_due(const struct provision_config *config, const char *disk,
                 int64_t now, unsigned *number, struct vhd_error *err)
{
  struct disk_schedule schedule;
  struct disk_work work;
  int r = disk_work_begin(&work, config, disk, err);

  *number = 0;
  if (r == 0)
    r = disk_work_scheduled(&work, &schedule);
  if (r == 0 && schedule.number > 0 && schedule.when <= now) {
    r = disk_work_promote(&work, schedule.number);
    *number = r == 0 ? schedule.number : 0;
  }
  return disk_work_end(&work, r);
}
