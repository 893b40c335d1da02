/* SPDX-License-Identifier: BSD-2-Clause */
/* status.c: the verb status: the server as a whole, of what any thread can read
 * without a question to a loop. */
#include "config.h"

#include "control/verb/verbs.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "catalog/catalog.h"
#include "client/host.h"
#include "control/facts.h"
#include "control/say.h"
#include "control/world.h"
#include "disk/budget.h"
#include "nbd/protocol.h"

static json_t *
bytes(const struct facts *facts)
{
  json_t *object = json_object();
  uint64_t read, written;

  facts_bytes(facts, &read, &written);
  say_number(object, "read", read);
  say_number(object, "written", written);
  return object;
}

static json_t *
refusals(const struct facts *facts)
{
  json_t *object = json_object();

  for (unsigned i = 0; i < FACT_NLIMITS; i++)
    say_number(object, fact_limit_word((enum fact_limit)i),
               atomic_load(&facts->refused[i]));
  return object;
}

/* By the names that clients know them by. */
static json_t *
errors(const struct facts *facts)
{
  json_t *object = json_object();

  for (uint32_t i = 0; i < FACTS_ERRORS; i++) {
    const uint64_t n = atomic_load(&facts->errors[i]);
    if (n == 0)
      continue;
    say_number(object,
               i == 0                    ? "options"
               : i == FACTS_OTHER_ERRORS ? "others"
                                         : nbd_error_name(i),
               n);
  }
  return object;
}

static json_t *
descriptors(void)
{
  json_t *object = json_object();

  say_number(object, "limit", descriptors_limit());
  say_number(object, "used", descriptors_used());
  say_number(object, "for-clients", descriptors_for_clients());
  return object;
}

static json_t *
memory(const struct budget *budget)
{
  json_t *object = json_object();

  say_number(object, "limit", budget->shared + budget->reserve);
  say_number(object, "used", atomic_load(&budget->used));
  say_number(object, "waiting", atomic_load(&budget->waiting));
  return object;
}

static json_t *
file(const struct world_file *file)
{
  json_t *object;

  if (!file->path)
    return json_null();
  object = json_object();
  say_string(object, "path", file->path);
  say_moment(object, "read", file->read_ns);
  say_bool(object, "sound", !file->wrong);
  say_string(object, "text", file->text[0] != '\0' ? file->text : NULL);
  return object;
}

static void
begin(struct question *q)
{
  const struct world *world = q->world;
  const struct facts *facts = world->facts;
  json_t *result = json_object();

  say_string(result, "version", vhd_version());
  say_number(result, "pid", (uint64_t)world->keeper);
  say_number(result, "worker", (uint64_t)getpid());
  say_moment(result, "since", world->since_ns);
  say_seconds(result, "uptime", clock_ns() - world->since_ns);
  say_bool(result, "draining", atomic_load(&world->host->draining));
  say_number(result, "threads", world->nworkers);
  say_number(result, "exports", catalog_count(world->host->catalog));
  say_number(result, "clients", facts_present(facts));
  say_number(result, "came", atomic_load(&facts->came));
  json_object_set_new(result, "bytes", bytes(facts));
  json_object_set_new(result, "refused", refusals(facts));
  json_object_set_new(result, "errors", errors(facts));
  json_object_set_new(result, "descriptors", descriptors());
  json_object_set_new(result, "memory", memory(world->host->budget));
  json_object_set_new(result, "config", file(&world->file));
  question_answer(q, result);
}

const struct control_verb status_verb = {
  .name = "status",
  .begin = begin,
};
