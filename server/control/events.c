/* SPDX-License-Identifier: BSD-2-Clause */
/* events.c: see events.h. */
#include "config.h"

#include "control/events.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/loop.h"
#include "client/fact.h"
#include "control/say.h"

struct note {
  struct task task;
  struct events *events;
  json_t *event; /* this thread's until it is posted */
  uint64_t ns;   /* when it happened */
};

void
events_init(struct events *events)
{
  *events = (struct events){ .loop = NULL };
  LIST_INIT(&events->followers);
}

/* ------------------------------------------------------------ on any thread */

static const char *
word_of(enum fact_kind kind)
{
  static const char *const word[] = {
    [FACT_CAME] = "came",   [FACT_REFUSED] = "refused",
    [FACT_CHOSE] = "chose", [FACT_FAILED] = "failed",
    [FACT_LEFT] = "left",
  };

  return word[kind];
}

static void
say_who(json_t *event, const struct fact *fact)
{
  char name[VISITOR_NAME_SIZE], user[VISITOR_IDENTITY_SIZE];
  const char *identity = fact->identity;

  visitor_name(fact->visitor, name, sizeof name);
  if (!identity)
    identity = visitor_identity(fact->visitor, user, sizeof user);
  if (fact->client > 0)
    say_number(event, "client", fact->client);
  say_string(event, "address", name);
  say_string(event, "identity", identity);
}

static json_t *
event_of(const struct fact *fact)
{
  json_t *event = json_object();

  say_string(event, "event", word_of(fact->kind));
  say_who(event, fact);
  if (fact->export)
    say_string(event, "export", fact->export);
  if (fact->kind == FACT_REFUSED)
    say_string(event, "limit", fact_limit_word(fact->limit));
  if (fact->kind == FACT_FAILED) {
    say_string(event, "request", fact->request);
    say_string(event, "error", fact->error);
  }
  if (fact->why)
    say_string(event, "text", fact->why);
  if (fact->kind == FACT_LEFT) {
    say_seconds(event, "seconds", fact->nsec);
    say_number(event, "read", fact->read);
    say_number(event, "written", fact->written);
    say_number(event, "errors", fact->nfailed);
  }
  return event;
}

/* ------------------------------------------------------- on the main thread */

static void
tell_all(struct events *events, json_t *event)
{
  struct follower *f, *next;

  for (f = LIST_FIRST(&events->followers); f; f = next) {
    next = LIST_NEXT(f, link);
    f->tell(f, event);
  }
}

static void
tell_lost(struct events *events)
{
  const uint64_t lost = atomic_exchange(&events->lost, 0);
  json_t *event = lost > 0 ? json_object() : NULL;

  if (!event)
    return;
  say_string(event, "event", "lost");
  say_number(event, "count", lost);
  events_tell(events, event);
}

static void
on_note(struct task *task)
{
  struct note *note = CONTAINER_OF(task, struct note, task);
  struct events *events = note->events;

  atomic_fetch_sub(&events->pending, 1);
  say_moment(note->event, "time", note->ns);
  tell_all(events, note->event);
  json_decref(note->event);
  free(note);
  tell_lost(events);
}

void
events_note(struct events *events, const struct fact *fact)
{
  struct note *note;

  if (atomic_load_explicit(&events->nfollowers, memory_order_relaxed) == 0)
    return;
  if (atomic_fetch_add(&events->pending, 1) >= EVENTS_PENDING ||
      (note = calloc(1, sizeof *note)) == NULL) {
    atomic_fetch_sub(&events->pending, 1);
    atomic_fetch_add(&events->lost, 1);
    return;
  }
  note->task.run = on_note;
  note->events = events;
  note->event = event_of(fact);
  note->ns = clock_ns();
  loop_post(events->loop, &note->task);
}

void
events_tell(struct events *events, json_t *event)
{
  say_moment(event, "time", clock_ns());
  tell_all(events, event);
  json_decref(event);
}

void
events_follow(struct events *events, struct follower *follower)
{
  LIST_INSERT_HEAD(&events->followers, follower, link);
  atomic_fetch_add(&events->nfollowers, 1);
}

void
events_leave(struct events *events, struct follower *follower)
{
  LIST_REMOVE(follower, link);
  atomic_fetch_sub(&events->nfollowers, 1);
}
