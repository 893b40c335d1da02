/* SPDX-License-Identifier: BSD-2-Clause */
/* disks.c: see disks.h.  The worker is hostile: it may have been taken over.
 * What it can have done is what the verbs do to disks and clients that there
 * are by their names; no name is used as a path that is not one of those. */
#include "config.h"

#include "keeper/broker/disks.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "keeper/broker/message.h"
#include "provision/child.h"
#include "provision/client_id.h"
#include "provision/disk_name.h"
#include "provision/provision_config.h"

/* -------------------------------------------------------------------- verbs */

static int
make_child(const struct provision_config *config,
           const struct broker_order *order, struct vhd_error *err)
{
  return (order->fresh ? child_discard : child_make)(config, order->disk,
                                                     order->client,
                                                     order->version, err);
}

static int
remove_child(const struct provision_config *config,
             const struct broker_order *order, struct vhd_error *err)
{
  return child_remove(config, order->disk, order->client, err);
}

struct verb {
  int (*run)(const struct provision_config *config,
             const struct broker_order *order, struct vhd_error *err);
  bool has_client, has_version;
};

static const struct verb verbs[] = {
  [BROKER_CHILD] = { make_child, true, true },
  [BROKER_REMOVE] = { remove_child, true, false },
};

/* ------------------------------------------------------------------- orders */

static bool
is_terminated(const char *text, size_t size)
{
  return memchr(text, '\0', size) != NULL;
}

static const struct verb *
verb_of(const struct broker_order *order)
{
  const struct verb *verb =
    order->verb < sizeof verbs / sizeof *verbs ? &verbs[order->verb] : NULL;

  return verb && verb->run && is_terminated(order->disk, sizeof order->disk) &&
             is_terminated(order->client, sizeof order->client) &&
             is_terminated(order->version, sizeof order->version) &&
             disk_name_is_disk(order->disk) &&
             (!verb->has_client || client_id_is_file(order->client)) &&
             (!verb->has_version || disk_name_is_version(order->version))
           ? verb
           : NULL;
}

static int
carry_out(const struct provision_config *config,
          const struct broker_order *order, int channel)
{
  const struct verb *verb = verb_of(order);
  struct broker_report report = { .result = 0 };
  struct vhd_error err = { .code = VHD_OK };

  report.result = verb ? verb->run(config, order, &err)
                       : fail_argument(&err, "this is no order");
  if (report.result < 0) {
    report.code = err.code;
    memcpy(report.text, err.message, sizeof report.text - 1);
  }
  return message_send(channel, &report, sizeof report, -1);
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
