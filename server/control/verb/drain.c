/* SPDX-License-Identifier: BSD-2-Clause */
/* drain.c: the verbs drain and undrain: nobody new comes in, and who is there
 * stays as long as he likes; and back.  Who wants to wait until the last one
 * has gone is told how many have. */
#include "config.h"

#include "control/verb/verbs.h"

#include <event2/event.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/loop.h"
#include "client/host.h"
#include "control/facts.h"
#include "control/say.h"
#include "control/world.h"

/* How often it is looked. */
static const struct timeval interval = { .tv_usec = 200000 };

struct waiting {
  struct question *q;
  struct event *timer;
  uint64_t first, last; /* how many there were */
};

static uint64_t
clients(const struct world *world)
{
  return facts_present(world->facts);
}

static void
answer(struct question *q)
{
  json_t *result = json_object();

  say_bool(result, "draining", atomic_load(&q->world->host->draining));
  say_number(result, "clients", clients(q->world));
  question_answer(q, result);
}

/* ------------------------------------------------------------------ waiting */

static struct question *
end_wait(struct waiting *w)
{
  struct question *q = w->q;

  q->cancel = NULL;
  event_free(w->timer);
  free(w);
  return q;
}

/* What was begun goes on. */
static void
cancel(struct question *q)
{
  answer(end_wait(q->of_verb));
}

static void
on_timer(evutil_socket_t fd, short what, void *opaque)
{
  struct waiting *w = opaque;
  const uint64_t n = clients(w->q->world);

  (void)fd;
  (void)what;
  if (n > w->first)
    w->first = n; /* they were let in just before */
  if (n != w->last)
    question_progress(w->q, w->first - n, w->first);
  w->last = n;
  if (n == 0 || !atomic_load(&w->q->world->host->draining))
    answer(end_wait(w));
}

static void
wait_for_all(struct question *q)
{
  struct waiting *w = calloc(1, sizeof *w);

  if (w)
    w->timer = event_new(q->world->loop->base, -1, EV_PERSIST, on_timer, w);
  if (!w || !w->timer || event_add(w->timer, &interval) < 0) {
    if (w && w->timer)
      event_free(w->timer);
    free(w);
    question_answer(q, NULL);
    return;
  }
  w->q = q;
  w->first = w->last = clients(q->world);
  q->of_verb = w;
  q->cancel = cancel;
  question_progress(q, 0, w->first);
}

/* -------------------------------------------------------------------- verbs */

static void
drain(struct question *q)
{
  atomic_store(&q->world->host->draining, true);
  if (json_is_true(json_object_get(q->args, "wait")) && clients(q->world) > 0)
    wait_for_all(q);
  else
    answer(q);
}

static void
undrain(struct question *q)
{
  atomic_store(&q->world->host->draining, false);
  answer(q);
}

static const struct request_arg args[] = {
  { "wait", REQUEST_BOOLEAN, false },
  { NULL, 0, false },
};

const struct control_verb drain_verb = {
  .name = "drain",
  .changes = true,
  .args = args,
  .begin = drain,
};

const struct control_verb undrain_verb = {
  .name = "undrain",
  .changes = true,
  .begin = undrain,
};
