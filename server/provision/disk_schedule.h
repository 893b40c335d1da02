/* SPDX-License-Identifier: BSD-2-Clause */
/* disk_schedule.h: when which version of a disk is to be promoted, as its
 * folder says in the file `schedule`: one line, "promote 3 at
 * 2026-12-01T03:00:00Z". Blocks; any thread. */
#ifndef SERVER_PROVISION_DISK_SCHEDULE_H
#define SERVER_PROVISION_DISK_SCHEDULE_H

#include <stdint.h>

#include "vhdkit.h"

#define DISK_SCHEDULE "schedule"

struct disk_schedule {
  unsigned number; /* 0: nothing is to be promoted */
  int64_t when;    /* seconds since 1970 */
};

/* A line, with or without its end.  0 or -EINVAL.  Pure. */
int disk_schedule_parse(const char *line, struct disk_schedule *schedule);

/* Of a disk's folder that is open.  0, also where nothing is to be promoted;
 * -EINVAL: the file says something else. */
int disk_schedule_read(int folder, struct disk_schedule *schedule);

/* At path, durable, in the place of what was there. */
int disk_schedule_write(const char *path, const struct disk_schedule *schedule,
                        struct vhd_error *err);

#endif
