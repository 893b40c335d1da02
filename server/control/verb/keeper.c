/* SPDX-License-Identifier: BSD-2-Clause */
/* keeper.c: the verbs reload and stop: what the process that was started does
 * at a signal, it does for them. */
#include "config.h"

#include "control/reloads.h"
#include "control/verb/verbs.h"
#include "control/world.h"

static void
reload(struct question *q)
{
  reloads_ask(q->world, q);
}

/* It is answered first: the end of the server is the end of its connection. */
static void
stop(struct question *q)
{
  struct world *world = q->world;

  question_answer(q, json_object());
  world->ask_stop(world->opaque);
}

const struct control_verb reload_verb = {
  .name = "reload",
  .changes = true,
  .begin = reload,
};

const struct control_verb stop_verb = {
  .name = "stop",
  .changes = true,
  .begin = stop,
};
