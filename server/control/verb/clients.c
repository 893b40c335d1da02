/* SPDX-License-Identifier: BSD-2-Clause */
/* clients.c: the verb clients: each connection, as its loop sees it now. */
#include "config.h"

#include "control/verb/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/container.h"
#include "client/connection/census.h"
#include "control/say.h"
#include "control/gather.h"
#include "control/world.h"
#include "net/visitor.h"

/* A connection, as it was seen; the strings are copies, or NULL. */
struct row {
  uint64_t number, since_ns, read, written, nfailed, nanswered;
  uint64_t p50_ns, p99_ns;
  struct visitor visitor;
  char *identity, *export;
  unsigned nops;
  enum census_state state;
  bool tls;
};

struct census {
  struct gather gather; /* first */
  struct question *q;
};

/* ----------------------------------------------------- on the loop's thread */

struct filling {
  struct row *row;
  size_t n, room;
};

static char *
copy(const char *text)
{
  return text ? strdup(text) : NULL;
}

static void
note(void *opaque, const struct census_entry *entry)
{
  struct filling *filling = opaque;

  if (filling->n == filling->room)
    return;
  filling->row[filling->n++] = (struct row){
    .number = entry->number,
    .since_ns = entry->since_ns,
    .read = entry->read,
    .written = entry->written,
    .nfailed = entry->nfailed,
    .nanswered = entry->nanswered,
    .p50_ns = entry->p50_ns,
    .p99_ns = entry->p99_ns,
    .visitor = *entry->visitor,
    .identity = copy(entry->identity),
    .export = copy(entry->export),
    .nops = entry->nops,
    .state = entry->state,
    .tls = entry->tls,
  };
}

static void
look(struct gather_part *part)
{
  struct filling filling = { .room = census_count(part->worker) };

  filling.row = calloc(filling.room + 1, sizeof *filling.row);
  if (filling.row)
    census_visit(part->worker, note, &filling);
  part->found = filling.row;
  part->n = filling.n;
}

/* ------------------------------------------------------- on the main thread */

static json_t *
row_line(const struct row *row)
{
  static const char *const state[] = {
    [CENSUS_NEGOTIATING] = "negotiating",
    [CENSUS_SERVING] = "serving",
    [CENSUS_ENDING] = "ending",
  };
  json_t *object = json_object();
  char name[VISITOR_NAME_SIZE], user[VISITOR_IDENTITY_SIZE];
  const char *identity = row->identity;

  visitor_name(&row->visitor, name, sizeof name);
  if (!identity)
    identity = visitor_identity(&row->visitor, user, sizeof user);
  say_number(object, "client", row->number);
  say_string(object, "address", name);
  if (row->visitor.pid > 0)
    say_number(object, "pid", (uint64_t)row->visitor.pid);
  if (row->visitor.uid != (uid_t)-1)
    say_number(object, "uid", row->visitor.uid);
  say_string(object, "identity", identity);
  say_string(object, "export", row->export);
  say_string(object, "state", state[row->state]);
  say_moment(object, "since", row->since_ns);
  say_bool(object, "tls", row->tls);
  say_number(object, "read", row->read);
  say_number(object, "written", row->written);
  say_number(object, "requests", row->nops);
  say_number(object, "answered", row->nanswered);
  say_number(object, "p50-us", row->p50_ns / 1000);
  say_number(object, "p99-us", row->p99_ns / 1000);
  say_number(object, "errors", row->nfailed);
  return object;
}

static int
compare_rows(const void *a, const void *b)
{
  const struct row *const *x = a, *const *y = b;

  return ((*x)->number > (*y)->number) - ((*x)->number < (*y)->number);
}

/* In the order in which they came; the rows stay the parts'. */
static const struct row **
sort(const struct gather *g, size_t *n)
{
  const struct row **rows;
  size_t room = 0;

  for (unsigned i = 0; i < g->nparts; i++)
    room += g->part[i].back ? g->part[i].n : 0;
  rows = calloc(room + 1, sizeof *rows);
  *n = 0;
  for (unsigned i = 0; rows && i < g->nparts; i++) {
    const struct row *row = g->part[i].found;
    for (size_t j = 0; g->part[i].back && j < g->part[i].n; j++)
      rows[(*n)++] = &row[j];
  }
  if (rows)
    qsort(rows, *n, sizeof *rows, compare_rows);
  return rows;
}

static void
told(struct gather *g)
{
  struct census *census = CONTAINER_OF(g, struct census, gather);
  json_t *result = json_object(), *list = json_array();
  size_t n;
  const struct row **rows = sort(g, &n);

  for (size_t i = 0; i < n; i++)
    json_array_append_new(list, row_line(rows[i]));
  free(rows);
  json_object_set_new(result, "clients", list);
  say_bool(result, "complete", gather_is_whole(g));
  question_answer(census->q, result);
}

static void
clear(struct gather *g)
{
  free(CONTAINER_OF(g, struct census, gather));
}

/* The strings of the rows. */
static void
clear_part(void *found, size_t n)
{
  struct row *row = found;

  for (size_t i = 0; i < n; i++) {
    free(row[i].identity);
    free(row[i].export);
  }
}

static void
begin(struct question *q)
{
  struct census *census = malloc(sizeof *census);

  if (census) {
    *census = (struct census){
      .gather = { .look = look,
                  .told = told,
                  .free = clear,
                  .clear_part = clear_part },
      .q = q,
    };
    if (gather_begin(&census->gather, q->world) == 0)
      return;
  }
  free(census);
  question_answer(q, NULL);
}

const struct control_verb clients_verb = {
  .name = "clients",
  .begin = begin,
};
