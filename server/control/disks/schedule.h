/* SPDX-License-Identifier: BSD-2-Clause */
/* schedule.h: promotes versions when their time has come: looks at all disks
 * now and then, on a thread, and no more than one at a time.  On the main
 * thread. */
#ifndef SERVER_CONTROL_DISKS_SCHEDULE_H
#define SERVER_CONTROL_DISKS_SCHEDULE_H

#include "vhdkit.h"

/* How late a promotion may be. */
#define SCHEDULE_SEC 20
/* What became due while nobody served is not left so long. */
#define SCHEDULE_FIRST_SEC 1

struct schedule;
struct world;

/* world must outlive it.  *schedule is NULL where no disks are served. */
int schedule_new(const struct world *world, struct schedule **schedule,
                 struct vhd_error *err);
/* No look begins any more.  NULL is fine. */
void schedule_stop(struct schedule *schedule);
/* After that, when no look is under way (threads_wait()).  NULL is fine. */
void schedule_free(struct schedule *schedule);

#endif
