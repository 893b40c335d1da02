/* SPDX-License-Identifier: BSD-2-Clause */
/* orders.c: see orders.h. */
#include "config.h"

#include "keeper/broker/orders.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "keeper/broker/broker.h"

#define MAX_HELPERS 8 /* the keeper has as many more than broker.c asks for */

static struct orders {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  int channel[MAX_HELPERS]; /* of those that are idle */
  unsigned nidle, n;
  unsigned renewed; /* how often */
} orders = {
  .lock = PTHREAD_MUTEX_INITIALIZER,
  .changed = PTHREAD_COND_INITIALIZER,
};

/* ------------------------------------------------------------------ helpers */

/* The lock is held. */
static void
send_home(void)
{
  while (orders.nidle > 0) {
    close(orders.channel[--orders.nidle]);
    orders.n--;
  }
}

/* A channel or -errno.  A new one, if it must be that; *idle: it is none, and
 * may have died, or not see what has been mounted since. */
static int
take_helper(bool must_be_new, bool *idle, unsigned *renewed)
{
  int channel = -1;

  pthread_mutex_lock(&orders.lock);
  if (must_be_new)
    send_home();
  while (orders.nidle == 0 && orders.n == MAX_HELPERS)
    pthread_cond_wait(&orders.changed, &orders.lock);
  *renewed = orders.renewed;
  *idle = orders.nidle > 0;
  if (*idle)
    channel = orders.channel[--orders.nidle];
  else
    orders.n++;
  pthread_mutex_unlock(&orders.lock);
  if (*idle)
    return channel;
  channel = broker_new_helper(BROKER_DISKS);
  if (channel < 0) {
    pthread_mutex_lock(&orders.lock);
    orders.n--;
    pthread_cond_broadcast(&orders.changed);
    pthread_mutex_unlock(&orders.lock);
  }
  return channel;
}

static void
give_back(int channel, bool works, unsigned renewed)
{
  pthread_mutex_lock(&orders.lock);
  if (works && renewed == orders.renewed) {
    orders.channel[orders.nidle++] = channel;
    channel = -1;
  } else {
    orders.n--;
  }
  pthread_cond_broadcast(&orders.changed);
  pthread_mutex_unlock(&orders.lock);
  if (channel >= 0)
    close(channel);
}

/* ------------------------------------------------------------------- orders */

static int
exchange(int channel, const struct broker_order *order,
         struct broker_report *report)
{
  int r = message_send(channel, order, sizeof *order, -1), fd = -1;

  if (r < 0)
    return r;
  const ssize_t n = message_receive(channel, report, sizeof *report, &fd);
  if (fd >= 0)
    close(fd);
  report->text[sizeof report->text - 1] = '\0';
  return n == (ssize_t)sizeof *report ? 0 : n < 0 ? (int)n : -EPIPE;
}

/* *again: it may be otherwise with a new helper. */
static int
try_order(const struct broker_order *order, bool must_be_new,
          struct broker_report *report, bool *again)
{
  unsigned renewed;
  bool idle;
  const int channel = take_helper(must_be_new, &idle, &renewed);

  *again = false;
  if (channel < 0)
    return channel;
  const int r = exchange(channel, order, report);
  give_back(channel, r == 0, renewed);
  *again = idle &&
           (r < 0 || report->result == -EACCES || report->result == -ENOENT);
  return r;
}

int
orders_give(const struct broker_order *order, struct vhd_error *err)
{
  struct broker_report report;
  bool again;
  int r = try_order(order, false, &report, &again);

  if (again)
    r = try_order(order, true, &report, &again);
  if (r < 0)
    return fail_system(err, -r, "disk '%s': the helper process", order->disk);
  if (report.result == 0)
    return 0;
  *err = (struct vhd_error){
    .code = report.code,
    .sys = report.result < 0 ? -report.result : EPROTO,
  };
  memcpy(err->message, report.text, sizeof report.text);
  return -err->sys;
}

void
orders_renew(void)
{
  pthread_mutex_lock(&orders.lock);
  orders.renewed++;
  send_home();
  pthread_cond_broadcast(&orders.changed);
  pthread_mutex_unlock(&orders.lock);
}

void
orders_end(void)
{
  orders_renew();
}
