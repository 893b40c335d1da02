/* SPDX-License-Identifier: BSD-2-Clause */
/* events.c: the verb events: what happens, a line each, until it is
 * cancelled. */
#include "config.h"

#include "control/events.h"

#include <stdlib.h>

#include "base/container.h"
#include "control/facts.h"
#include "control/say.h"
#include "control/verb/verbs.h"
#include "control/world.h"

/* A line that would not find so much room is left out. */
#define LINE_ROOM ((size_t)16 << 10)

struct following {
  struct follower follower;
  struct question *q;
  uint64_t lost; /* of which he has not been told */
};

static struct events *
events_of(const struct question *q)
{
  return q->world->facts->events;
}

static bool
has_room(const struct question *q)
{
  return q->sink && q->sink->room(q->sink) >= LINE_ROOM;
}

static void
tell_lost(struct following *f)
{
  json_t *event = json_object();

  say_string(event, "event", "lost");
  say_number(event, "count", f->lost);
  question_say(f->q, "event", event);
  f->lost = 0;
}

static void
tell(struct follower *follower, json_t *event)
{
  struct following *f = CONTAINER_OF(follower, struct following, follower);

  if (!has_room(f->q)) {
    f->lost++;
    return;
  }
  if (f->lost > 0)
    tell_lost(f);
  question_say(f->q, "event", json_incref(event));
}

static void
cancel(struct question *q)
{
  struct following *f = q->of_verb;

  events_leave(events_of(q), &f->follower);
  free(f);
  question_answer(q, json_object());
}

static void
begin(struct question *q)
{
  struct following *f = calloc(1, sizeof *f);

  if (!f) {
    question_answer(q, NULL);
    return;
  }
  f->q = q;
  f->follower.tell = tell;
  q->of_verb = f;
  q->cancel = cancel;
  events_follow(events_of(q), &f->follower);
  question_say(q, "following", json_true());
}

const struct control_verb events_verb = {
  .name = "events",
  .begin = begin,
};
