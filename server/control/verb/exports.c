/* SPDX-License-Identifier: BSD-2-Clause */
/* exports.c: the verb exports: all names that are served, and what is behind
 * them now. */
#include "config.h"

#include "control/verb/verbs.h"

#include "catalog/roll.h"
#include "client/host.h"
#include "control/say.h"
#include "control/world.h"

static void
note(void *opaque, const struct roll_entry *entry)
{
  static const char *const state[] = {
    [ROLL_OPEN] = "open",
    [ROLL_NOT_OPEN] = "not-open",
    [ROLL_FORMER] = "former",
  };
  json_t *object = json_object();
  const bool is_open = entry->state != ROLL_NOT_OPEN;

  say_string(object, "export", entry->name);
  say_string(object, "path", entry->path);
  say_string(object, "description", entry->description);
  say_string(object, "state", state[entry->state]);
  say_string(object, "text", is_open ? entry->note : entry->trouble);
  if (is_open) {
    say_number(object, "size", entry->size);
    say_number(object, "depth", entry->depth);
  }
  say_bool(object, "read-only", entry->readonly);
  say_bool(object, "tls-only", entry->tls_only);
  say_number(object, "clients", entry->users);
  json_array_append_new(opaque, object);
}

static void
begin(struct question *q)
{
  json_t *result = json_object(), *list = json_array();

  catalog_roll(q->world->host->catalog, note, list);
  json_object_set_new(result, "exports", list);
  question_answer(q, result);
}

const struct control_verb exports_verb = {
  .name = "exports",
  .begin = begin,
};
