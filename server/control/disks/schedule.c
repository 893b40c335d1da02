/* SPDX-License-Identifier: BSD-2-Clause */
/* schedule.c: see schedule.h. */
#include "config.h"

#include "control/disks/schedule.h"

#include <errno.h>
#include <event2/event.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
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
#include "provision/disk_order.h"

struct schedule {
  const struct world *world;
  struct event *timer;
  atomic_bool looking;
};

/* ------------------------------------------------------------ on the thread */

static int
look_at(void *opaque, const char *disk, const struct origin *origin)
{
  const struct schedule *schedule = opaque;
  const struct disk_order order = {
    .wish = DISK_WISH_PROMOTE_DUE,
    .disk = disk,
    .when = (int64_t)time(NULL),
  };
  struct disk_outcome outcome;
  struct vhd_error err;

  (void)origin;
  if (disk_order_give(schedule->world->disks, &order, &outcome, &err) < 0) {
    if (log_cause_pass("promotions of the disk '%s' that fail", disk))
      log_error("disk '%s': what is due cannot be promoted: %s", disk,
                err.message);
  } else if (outcome.number) {
    log_notice("disk '%s': version %u is in production, as was scheduled",
               disk, outcome.number);
  }
  disk_outcome_clear(&outcome);
  return 0;
}

static void
look(void *opaque)
{
  struct schedule *schedule = opaque;

  disks_source.each(schedule->world->host->config, look_at, schedule);
  atomic_store(&schedule->looking, false);
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
  if (thread_start("schedule", look, schedule) < 0)
    atomic_store(&schedule->looking, false);
}

int
schedule_new(const struct world *world, struct schedule **out,
             struct vhd_error *err)
{
  *out = NULL;
  if (!world->host->config->provision.disks)
    return 0;
  struct schedule *schedule = calloc(1, sizeof *schedule);
  if (!schedule)
    return fail_system(err, ENOMEM, "cannot promote what is due");
  schedule->world = world;
  schedule->timer = evtimer_new(world->loop->base, on_time, schedule);
  if (!schedule->timer || look_in(schedule, SCHEDULE_FIRST_SEC) < 0) {
    schedule_free(schedule);
    return fail_system(err, ENOMEM, "cannot promote what is due");
  }
  *out = schedule;
  return 0;
}

void
schedule_stop(struct schedule *schedule)
{
  if (schedule)
    event_del(schedule->timer);
}

void
schedule_free(struct schedule *schedule)
{
  if (!schedule)
    return;
  if (schedule->timer)
    event_free(schedule->timer);
  free(schedule);
}
