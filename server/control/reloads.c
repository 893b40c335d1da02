/* SPDX-License-Identifier: BSD-2-Clause */
/* reloads.c: see reloads.h. */
#include "config.h"

#include "control/reloads.h"

#include <stdio.h>

#include "base/clock.h"
#include "control/events.h"
#include "control/facts.h"
#include "control/say.h"
#include "control/world.h"

void
reloads_init(struct reloads *reloads)
{
  TAILQ_INIT(&reloads->waiting);
  reloads->changes = NULL;
}

void
reloads_ask(struct world *world, struct question *q)
{
  struct reloads *reloads = &world->reloads;
  const bool is_first = TAILQ_EMPTY(&reloads->waiting);

  TAILQ_INSERT_TAIL(&reloads->waiting, q, later);
  if (is_first)
    world->ask_reload(world->opaque);
}

void
reloads_differs(void *opaque, const char *name, const char *how,
                unsigned clients)
{
  struct world *world = opaque;
  json_t *change = json_object();

  say_string(change, "export", name);
  say_string(change, "change", how);
  say_number(change, "clients", clients);
  if (!world->reloads.changes)
    world->reloads.changes = json_array();
  json_array_append_new(world->reloads.changes, change);
}

static void
note_file(struct world_file *file, bool wrong, const char *text)
{
  file->read_ns = clock_ns();
  file->wrong = wrong;
  snprintf(file->text, sizeof file->text, "%s", text);
}

static void
tell_followers(const struct world *world, bool wrong, const char *text,
               json_t *changes)
{
  json_t *event = json_object();

  say_string(event, "event", "reload");
  say_bool(event, "sound", !wrong);
  say_string(event, "text", text[0] != '\0' ? text : NULL);
  json_object_set(event, "changes", changes);
  events_tell(world->facts->events, event);
}

static void
answer(struct question *q, bool wrong, const char *text, json_t *changes)
{
  json_t *result;

  if (wrong) {
    question_fail(q, QUESTION_REFUSED,
                  "%s; the former configuration stays in force", text);
    return;
  }
  result = json_object();
  json_object_set(result, "changes", changes);
  say_string(result, "text", text[0] != '\0' ? text : NULL);
  question_answer(q, result);
}

void
reloads_done(struct world *world, bool asked, bool wrong, const char *text)
{
  struct reloads *reloads = &world->reloads;
  struct question *q = asked ? TAILQ_FIRST(&reloads->waiting) : NULL;
  json_t *changes = reloads->changes ? reloads->changes : json_array();

  reloads->changes = NULL;
  note_file(&world->file, wrong, text);
  tell_followers(world, wrong, text, changes);
  if (q) {
    TAILQ_REMOVE(&reloads->waiting, q, later);
    answer(q, wrong, text, changes);
    if (!TAILQ_EMPTY(&reloads->waiting))
      world->ask_reload(world->opaque);
  }
  json_decref(changes);
}

void
reloads_end(struct world *world)
{
  struct question *q;

  while ((q = TAILQ_FIRST(&world->reloads.waiting)) != NULL) {
    TAILQ_REMOVE(&world->reloads.waiting, q, later);
    question_fail(q, QUESTION_FAILED, "the server is about to end");
  }
}
