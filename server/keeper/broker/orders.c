/* SPDX-License-Identifier: BSD-2-Clause */
/* orders.c: see orders.h. */
#include "config.h"

#include "keeper/broker/orders.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
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
receive(int channel, void *data, size_t size)
{
  int fd = -1;
  const ssize_t n = message_receive(channel, data, size, &fd);

  if (fd >= 0)
    close(fd);
  return n == (ssize_t)size ? 0 : n < 0 ? (int)n : -EPIPE;
}

static int
receive_items(int channel, size_t item_size, struct orders_answer *answer)
{
  const struct broker_report *report = &answer->report;
  int r = 0;

  if (report->nitems == 0)
    return 0;
  if (report->item_size != item_size || report->nitems > BROKER_MAX_ITEMS)
    return -EPROTO;
  unsigned char *items = reallocarray(NULL, report->nitems, item_size);
  if (!items)
    return -ENOMEM;
  for (uint32_t i = 0; r == 0 && i < report->nitems; i++)
    r = receive(channel, items + i * item_size, item_size);
  if (r < 0)
    free(items);
  else
    answer->items = items;
  return r;
}

static int
exchange(int channel, const struct broker_order *order, size_t item_size,
         struct orders_answer *answer)
{
  struct broker_report *report = &answer->report;
  int r = message_send(channel, order, sizeof *order, -1);

  if (r == 0)
    r = receive(channel, report, sizeof *report);
  if (r < 0)
    return r;
  report->text[sizeof report->text - 1] = '\0';
  return receive_items(channel, item_size, answer);
}

/* *again: it may be otherwise with a new helper. */
static int
try_order(const struct broker_order *order, size_t item_size, bool must_be_new,
          struct orders_answer *answer, bool *again)
{
  unsigned renewed;
  bool idle;
  const int channel = take_helper(must_be_new, &idle, &renewed);

  *again = false;
  if (channel < 0)
    return channel;
  const int r = exchange(channel, order, item_size, answer);
  give_back(channel, r == 0, renewed);
  *again = idle && (r < 0 || answer->report.result == -EACCES ||
                    answer->report.result == -ENOENT);
  return r;
}

int
orders_give(const struct broker_order *order, size_t item_size,
            struct orders_answer *answer, struct vhd_error *err)
{
  bool again;

  answer->items = NULL;
  int r = try_order(order, item_size, false, answer, &again);
  if (again) {
    free(answer->items);
    answer->items = NULL;
    r = try_order(order, item_size, true, answer, &again);
  }
  if (r < 0)
    return fail_system(err, -r, "disk '%s': the helper process", order->disk);
  const struct broker_report *report = &answer->report;
  if (report->result == 0)
    return 0;
  *err = (struct vhd_error){
    .code = report->code,
    .sys = report->result < 0 ? -report->result : EPROTO,
  };
  memcpy(err->message, report->text, sizeof report->text);
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
