/* SPDX-License-Identifier: BSD-2-Clause */
/* schedule.c: see schedule.h. */
#include "config.h"

#include "control/disks/schedule.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/log_cause.h"
#include "base/loop.h"
#include "base/thread.h"
#include "catalog/source/source.h"
#include "client/host.h"
#include "config/server_config.h"
#include "control/world.h"
#include "provision/disk_name.h"
#include "provision/disk_order.h"

/* Who looks, and who has him look, each have a reference. */
struct schedule {
  const struct disk_hands *hands;
  char *disks;
  struct event *timer;
  atomic_uint refs;
  atomic_bool looking;
};

static void
unref(struct schedule *schedule)
{
  if (atomic_fetch_sub(&schedule->refs, 1) != 1)
    return;
  free(schedule->disks);
  free(schedule);
}

/* ------------------------------------------------------------ on the thread */

static void
look_at(struct schedule *schedule, const char *disk)
{
  const struct disk_order order = {
    .wish = DISK_WISH_PROMOTE_DUE,
    .disk = disk,
    .when = (int64_t)time(NULL),
  };
  struct disk_outcome outcome;
  struct vhd_error err;

  if (schedule->hands->give(schedule->hands->opaque, &order, &outcome, &err) <
      0) {
    if (log_cause_pass("promotions of the disk '%s' that fail", disk))
      log_error("disk '%s': what is due cannot be promoted: %s", disk,
                err.message);
  } else if (outcome.number) {
    log_notice("disk '%s': version %u is in production, as was scheduled",
               disk, outcome.number);
  }
  disk_outcome_clear(&outcome);
}

static void
look(void *opaque)
{
  struct schedule *schedule = opaque;
  DIR *dir = folder_open(schedule->disks);
  struct dirent *d;

  while (dir && (d = readdir(dir)) != NULL)
    if (disk_name_is_disk(d->d_name) && d->d_type != DT_REG)
      look_at(schedule, d->d_name);
  if (dir)
    closedir(dir);
  atomic_store(&schedule->looking, false);
  unref(schedule);
}

/* ------------------------------------------------------- on the main thread */

static int
look_in(struct schedule *schedule, unsigned sec)
{
  const struct timeval time = { .tv_sec = (time_t)sec };

  return event_add(schedule->timer, &time);
}

static void
on_time(evutil_socket_t fd, short what, void *opaque)
{
  struct schedule *schedule = opaque;

  (void)fd;
  (void)what;
  look_in(schedule, SCHEDULE_SEC);
  if (atomic_exchange(&schedule->looking, true))
    return;
  atomic_fetch_add(&schedule->refs, 1);
  if (thread_start("schedule", look, schedule) < 0) {
    atomic_store(&schedule->looking, false);
    unref(schedule);
  }
}

int
schedule_new(const struct world *world, struct schedule **out,
             struct vhd_error *err)
{
  const char *disks = world->host->config->provision.disks;

  *out = NULL;
  if (!disks)
    return 0;
  struct schedule *schedule = calloc(1, sizeof *schedule);
  if (!schedule)
    return fail_system(err, ENOMEM, "cannot promote what is due");
  *schedule =
    (struct schedule){ .hands = world->disks, .disks = strdup(disks) };
  atomic_init(&schedule->refs, 1);
  schedule->timer = evtimer_new(world->loop->base, on_time, schedule);
  if (!schedule->disks || !schedule->timer ||
      look_in(schedule, SCHEDULE_FIRST_SEC) < 0) {
    schedule_free(schedule);
    return fail_system(err, ENOMEM, "cannot promote what is due");
  }
  *out = schedule;
  return 0;
}

void
schedule_free(struct schedule *schedule)
{
  if (!schedule)
    return;
  if (schedule->timer)
    event_free(schedule->timer);
  unref(schedule);
}
