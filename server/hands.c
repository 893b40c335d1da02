/* SPDX-License-Identifier: BSD-2-Clause */
/* hands.c: see hands.h. */
#include "config.h"

#include "hands.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "config/server_config.h"
#include "keeper/broker/broker.h"
#include "keeper/broker/orders.h"

static bool
copy(char *to, size_t size, const char *text)
{
  return !text || snprintf(to, size, "%s", text) < (int)size;
}

/* ----------------------------------------------------------------- children */

static int
order_child(enum broker_verb verb, const struct server_child *child,
            struct vhd_error *err)
{
  struct broker_order order = { .verb = verb, .fresh = child->fresh };
  struct orders_answer answer;

  if (!copy(order.disk, sizeof order.disk, child->disk) ||
      !copy(order.client, sizeof order.client, child->client) ||
      !copy(order.version, sizeof order.version, child->version))
    return fail_system(err, ENAMETOOLONG, "disk '%s'", child->disk);
  const int r = orders_give(&order, 0, &answer, err);
  free(answer.items);
  return r;
}

int
hands_make_child(void *opaque, const struct server_child *child,
                 struct vhd_error *err)
{
  (void)opaque;
  return order_child(BROKER_CHILD, child, err);
}

int
hands_remove_child(void *opaque, const char *disk, const char *client,
                   struct vhd_error *err)
{
  const struct server_child child = { .disk = disk,
                                      .client = client,
                                      .version = "" };

  (void)opaque;
  return order_child(BROKER_REMOVE, &child, err);
}

/* ------------------------------------------------------------------- images */

/* What the worker cannot do to files itself. */
static int
step_by_helper(void *opaque, enum online_step step, const char *path,
               const struct online_order *order, struct vhd_error *err)
{
  static const enum broker_op op[] = {
    [ONLINE_STEP_LOOK] = BROKER_LOOK,
    [ONLINE_STEP_SNAPSHOT] = BROKER_SNAPSHOT,
    [ONLINE_STEP_RESIZE] = BROKER_RESIZE,
    [ONLINE_STEP_COMPACT] = BROKER_COMPACT,
    [ONLINE_STEP_FLATTEN] = BROKER_FLATTEN,
    [ONLINE_STEP_REBASE] = BROKER_REBASE,
  };

  (void)opaque;
  return broker_change(op[step], path, order->name, order->size, order->msec,
                       err);
}

const struct online_hands hands_of_images = { .step = step_by_helper };

/* -------------------------------------------------------------------- disks */

static const struct {
  enum broker_verb verb;
  size_t item_size;
} orders_of[] = {
  [DISK_WISH_STATE] = { BROKER_STATE, sizeof(struct disk_version) },
  [DISK_WISH_CHILDREN] = { BROKER_CHILDREN, sizeof(struct child) },
  [DISK_WISH_NEW_VERSION] = { BROKER_NEW_VERSION, 0 },
  [DISK_WISH_TEST] = { BROKER_TEST, 0 },
  [DISK_WISH_PROMOTE] = { BROKER_PROMOTE, 0 },
  [DISK_WISH_SCHEDULE] = { BROKER_SCHEDULE, 0 },
  [DISK_WISH_PROMOTE_DUE] = { BROKER_PROMOTE_DUE, 0 },
  [DISK_WISH_ROLLBACK] = { BROKER_ROLLBACK, 0 },
  [DISK_WISH_DELETE] = { BROKER_DELETE, 0 },
  [DISK_WISH_APPLY] = { BROKER_APPLY, 0 },
  [DISK_WISH_DESCRIBE] = { BROKER_DESCRIBE, 0 },
  [DISK_WISH_DISCARD] = { BROKER_REMOVE, 0 },
};

static void
take_state(struct disk_outcome *outcome, struct orders_answer *answer)
{
  const struct broker_report *report = &answer->report;

  outcome->folder = (struct disk_folder){
    .versions = answer->items,
    .n = report->nitems,
    .production = report->links.production,
    .test = report->links.test,
    .maintenance = report->links.maintenance,
    .previous = report->links.previous,
    .schedule = { report->links.scheduled, report->links.when },
  };
  answer->items = NULL;
}

static int
give(void *opaque, const struct disk_order *order,
     struct disk_outcome *outcome, struct vhd_error *err)
{
  struct broker_order broker = {
    .verb = orders_of[order->wish].verb,
    .number = order->number,
    .when = order->when,
  };
  struct orders_answer answer;

  (void)opaque;
  *outcome = (struct disk_outcome){ .number = 0 };
  if (!copy(broker.disk, sizeof broker.disk, order->disk) ||
      !copy(broker.client, sizeof broker.client, order->client) ||
      !copy(broker.line, sizeof broker.line, order->text))
    return fail_argument(err, "disk '%.64s': a name or a text is too long",
                         order->disk);
  const int r =
    orders_give(&broker, orders_of[order->wish].item_size, &answer, err);
  if (r == 0) {
    outcome->number = answer.report.number;
    if (order->wish == DISK_WISH_STATE) {
      take_state(outcome, &answer);
    } else {
      outcome->children = answer.items;
      outcome->nchildren = answer.report.nitems;
      answer.items = NULL;
    }
  }
  free(answer.items);
  return r;
}

const struct disk_hands hands_of_disks = { .give = give };
