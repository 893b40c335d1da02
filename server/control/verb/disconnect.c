/* SPDX-License-Identifier: BSD-2-Clause */
/* disconnect.c: the verb disconnect: connections end, by their numbers, when
 * what is in flight has been answered. */
#include "config.h"

#include "control/verb/verbs.h"

#include <stdlib.h>

#include "base/container.h"
#include "client/connection/census.h"
#include "control/say.h"
#include "control/gather.h"
#include "control/world.h"

struct parting {
  struct gather gather; /* first */
  struct question *q;
  size_t n;
  uint64_t number[]; /* sorted */
};

static int
compare(const void *a, const void *b)
{
  const uint64_t *x = a, *y = b;

  return (*x > *y) - (*x < *y);
}

/* ----------------------------------------------------- on the loop's thread */

struct leaving {
  const struct parting *parting;
  struct gather_part *part;
};

/* What is found: the places of the numbers. */
static bool
is_wanted(void *opaque, uint64_t number)
{
  const struct leaving *leaving = opaque;
  const struct parting *p = leaving->parting;
  const uint64_t *at = bsearch(&number, p->number, p->n, sizeof *at, compare);

  if (at)
    ((size_t *)leaving->part->found)[leaving->part->n++] =
      (size_t)(at - p->number);
  return at != NULL;
}

static void
look(struct gather_part *part)
{
  const struct parting *p = CONTAINER_OF(part->gather, struct parting, gather);
  struct leaving leaving = { p, part };

  part->found = calloc(p->n + 1, sizeof(size_t));
  if (part->found)
    census_disconnect(part->worker, is_wanted, &leaving);
}

/* ------------------------------------------------------- on the main thread */

static void
told(struct gather *g)
{
  struct parting *p = CONTAINER_OF(g, struct parting, gather);
  json_t *result = json_object(), *ended = json_array(),
         *others = json_array();
  bool *found = calloc(p->n + 1, sizeof *found);

  for (unsigned i = 0; found && i < g->nparts; i++)
    for (size_t j = 0; g->part[i].back && j < g->part[i].n; j++)
      found[((size_t *)g->part[i].found)[j]] = true;
  for (size_t i = 0; found && i < p->n; i++)
    json_array_append_new(found[i] ? ended : others,
                          json_integer((json_int_t)p->number[i]));
  free(found);
  json_object_set_new(result, "disconnected", ended);
  json_object_set_new(result, "unknown", others);
  say_bool(result, "complete", gather_is_whole(g));
  question_answer(p->q, result);
}

static void
clear(struct gather *g)
{
  free(CONTAINER_OF(g, struct parting, gather));
}

/* Each number once. */
static struct parting *
parting_new(struct question *q)
{
  const json_t *list = json_object_get(q->args, "clients");
  struct parting *p =
    malloc(sizeof *p + json_array_size(list) * sizeof *p->number);
  const json_t *number;
  size_t i, n = 0;

  if (!p)
    return NULL;
  *p = (struct parting){
    .gather = { .look = look, .told = told, .free = clear },
    .q = q,
  };
  json_array_foreach(list, i, number)
    p->number[i] = (uint64_t)json_integer_value(number);
  qsort(p->number, json_array_size(list), sizeof *p->number, compare);
  for (i = 0; i < json_array_size(list); i++)
    if (n == 0 || p->number[n - 1] != p->number[i])
      p->number[n++] = p->number[i];
  p->n = n;
  return p;
}

static void
begin(struct question *q)
{
  struct parting *p = parting_new(q);

  if (p && gather_begin(&p->gather, q->world) == 0)
    return;
  free(p);
  question_answer(q, NULL);
}

static const struct request_arg args[] = {
  { "clients", REQUEST_NUMBERS, true },
  { NULL, 0, false },
};

const struct control_verb disconnect_verb = {
  .name = "disconnect",
  .changes = true,
  .args = args,
  .begin = begin,
};
