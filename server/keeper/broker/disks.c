/* SPDX-License-Identifier: BSD-2-Clause */
/* disks.c: see disks.h.  The worker is hostile: it may have been taken over.
 * What it can have done is what the verbs do to disks and clients that there
 * are by their names; no name is used as a path that is not one of those. */
#include "config.h"

#include "keeper/broker/disks.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "keeper/broker/message.h"
#include "provision/change/change.h"
#include "provision/child.h"
#include "provision/client_id.h"
#include "provision/disk_folder.h"
#include "provision/disk_name.h"
#include "provision/provision_config.h"

struct job {
  const struct provision_config *config;
  const struct broker_order *order;
  struct broker_report *report;
  void *items; /* .report->nitems of them, to be sent behind it */
  struct vhd_error *err;
};

/* ------------------------------------------------------------------ looking */

static int
tell_state(struct job *job)
{
  struct disk_folder folder;
  const int r =
    disk_folder_read(job->config->disks, job->order->disk, &folder, job->err);

  if (r == 0) {
    struct broker_report *report = job->report;
    report->links.production = folder.production;
    report->links.test = folder.test;
    report->links.maintenance = folder.maintenance;
    report->links.previous = folder.previous;
    report->links.scheduled = folder.schedule.number;
    report->links.when = folder.schedule.when;
    report->nitems = (uint32_t)folder.n;
    report->item_size = sizeof *folder.versions;
    job->items = folder.versions;
    folder.versions = NULL;
  }
  disk_folder_free(&folder);
  return r;
}

struct children {
  struct child *child;
  size_t n, room;
};

static int
add_child(void *opaque, const struct child *child)
{
  struct children *children = opaque;

  if (children->n == BROKER_MAX_ITEMS)
    return -EOVERFLOW;
  if (children->n == children->room) {
    const size_t room = children->room ? 2 * children->room : 16;
    struct child *more = reallocarray(children->child, room, sizeof *more);
    if (!more)
      return -ENOMEM;
    children->child = more;
    children->room = room;
  }
  children->child[children->n++] = *child;
  return 0;
}

static int
tell_children(struct job *job)
{
  struct children children = { .n = 0 };
  struct disk_folder folder;
  int r =
    disk_folder_read(job->config->disks, job->order->disk, &folder, job->err);

  if (r == 0) {
    r =
      child_each(job->config, job->order->disk, &folder, add_child, &children);
    if (r < 0)
      fail_system(job->err, -r, "disk '%s': its children", job->order->disk);
  }
  disk_folder_free(&folder);
  job->items = children.child;
  job->report->nitems = (uint32_t)children.n;
  job->report->item_size = sizeof *children.child;
  return r;
}

/* ----------------------------------------------------------------- changing */

static int
make_child(struct job *job)
{
  const struct broker_order *order = job->order;

  return (order->fresh ? child_discard : child_make)(job->config, order->disk,
                                                     order->client,
                                                     order->version, job->err);
}

static int
remove_child(struct job *job)
{
  return child_remove(job->config, job->order->disk, job->order->client,
                      job->err);
}

static int
new_version(struct job *job)
{
  const struct broker_order *order = job->order;

  return disk_new_version(job->config, order->disk, order->number, order->line,
                          &job->report->number, job->err);
}

static int
test(struct job *job)
{
  job->report->number = job->order->number;
  return disk_test(job->config, job->order->disk, job->order->number,
                   job->err);
}

static int
promote(struct job *job)
{
  job->report->number = job->order->number;
  return disk_promote(job->config, job->order->disk, job->order->number,
                      job->err);
}

static int
schedule(struct job *job)
{
  job->report->number = job->order->number;
  return disk_schedule(job->config, job->order->disk, job->order->number,
                       job->order->when, job->err);
}

/* It is asked of all disks, again and again: mostly nothing is due, and then no
 * image is opened. */
static int
promote_due(struct job *job)
{
  if (!disk_folder_may_be_due(job->config->disks, job->order->disk,
                              job->order->when))
    return 0;
  return disk_promote_due(job->config, job->order->disk, job->order->when,
                          &job->report->number, job->err);
}

static int
rollback(struct job *job)
{
  return disk_rollback(job->config, job->order->disk, job->order->number,
                       &job->report->number, job->err);
}

static int delete (struct job *job)
{
  job->report->number = job->order->number;
  return disk_delete(job->config, job->order->disk, job->order->number,
                     job->err);
}

static int
apply(struct job *job)
{
  const struct broker_order *order = job->order;

  return disk_apply(job->config, order->disk, order->client, order->line,
                    &job->report->number, job->err);
}

static int
describe(struct job *job)
{
  const struct broker_order *order = job->order;

  job->report->number = order->number;
  return disk_describe(job->config, order->disk, order->number, order->line,
                       job->err);
}

/* -------------------------------------------------------------------- verbs */

struct verb {
  int (*run)(struct job *job);
  bool has_client, has_version;
};

static const struct verb verbs[] = {
  [BROKER_CHILD] = { make_child, true, true },
  [BROKER_STATE] = { tell_state, false, false },
  [BROKER_CHILDREN] = { tell_children, false, false },
  [BROKER_NEW_VERSION] = { new_version, false, false },
  [BROKER_TEST] = { test, false, false },
  [BROKER_PROMOTE] = { promote, false, false },
  [BROKER_SCHEDULE] = { schedule, false, false },
  [BROKER_PROMOTE_DUE] = { promote_due, false, false },
  [BROKER_ROLLBACK] = { rollback, false, false },
  [BROKER_DELETE] = { delete, false, false },
  [BROKER_APPLY] = { apply, true, false },
  [BROKER_DESCRIBE] = { describe, false, false },
  [BROKER_REMOVE] = { remove_child, true, false },
};

/* ------------------------------------------------------------------- orders */

static bool
is_sound(const struct broker_order *order)
{
  return message_is_terminated(order->disk, sizeof order->disk) &&
         message_is_terminated(order->client, sizeof order->client) &&
         message_is_terminated(order->version, sizeof order->version) &&
         message_is_terminated(order->line, sizeof order->line) &&
         order->number <= DISK_VERSION_MAX && disk_name_is_disk(order->disk);
}

static const struct verb *
verb_of(const struct broker_order *order)
{
  const struct verb *verb =
    order->verb < sizeof verbs / sizeof *verbs ? &verbs[order->verb] : NULL;

  return verb && verb->run && is_sound(order) &&
             (!verb->has_client || client_id_is_file(order->client)) &&
             (!verb->has_version || disk_name_is_version(order->version))
           ? verb
           : NULL;
}

static int
send_answer(int channel, const struct broker_report *report,
            const unsigned char *items)
{
  int r = message_send(channel, report, sizeof *report, -1);

  for (uint32_t i = 0; r == 0 && i < report->nitems; i++)
    r = message_send(channel, items + (size_t)i * report->item_size,
                     report->item_size, -1);
  return r;
}

static int
carry_out(const struct provision_config *config,
          const struct broker_order *order, int channel)
{
  const struct verb *verb = verb_of(order);
  struct broker_report report = { .result = 0 };
  struct vhd_error err = { .code = VHD_OK };
  struct job job = {
    .config = config,
    .order = order,
    .report = &report,
    .err = &err,
  };

  report.result = verb ? verb->run(&job)
                       : fail_argument(&err, "this is no order");
  if (report.result < 0) {
    report.code = err.code;
    report.nitems = 0;
    memcpy(report.text, err.message, sizeof report.text - 1);
  }
  const int r = send_answer(channel, &report, job.items);
  free(job.items);
  return r;
}

void
disks_run(int channel, const struct provision_config *config)
{
  struct broker_order order;
  ssize_t n = sizeof order;
  int fd, sent = 0;

  umask(077); /* a client's disk is nobody else's */
  while (sent == 0 && n == (ssize_t)sizeof order) {
    n = message_receive(channel, &order, sizeof order, &fd);
    if (fd >= 0)
      close(fd);
    if (n == (ssize_t)sizeof order)
      sent = carry_out(config, &order, channel);
  }
}
