/* SPDX-License-Identifier: BSD-2-Clause */
/* catalog.c: see catalog.h; a name's life is in entry.h, that of an open image
 * in generation.h. */
#include "config.h"

#include "catalog/catalog.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"
#include "base/log_cause.h"
#include "catalog/entry.h"
#include "catalog/list.h"
#include "catalog/source/rule_book.h"
#include "catalog/source/strings.h"

const char *
export_refusal_text(enum export_refusal refusal)
{
  static const char *const text[] = {
    [EXPORT_FINE] = "",
    [EXPORT_UNKNOWN] = "there is no export of that name",
    [EXPORT_TLS_ONLY] = "there is no export of that name without TLS",
    [EXPORT_BUSY] = "the image is in use elsewhere",
    [EXPORT_SHORT] = "the server has no file descriptors left to open the "
                     "image with; try again later",
    [EXPORT_BROKEN] = "the image cannot be opened; the server's log says why",
    [EXPORT_TAKEN] = "another machine that is the same client has it; when "
                     "that has gone, try again",
    [EXPORT_FULL] = "the server has no space left to begin with; try again "
                    "later",
    [EXPORT_SHUTDOWN] = "the server is about to end",
  };

  return text[refusal];
}

/* ------------------------------------------------------------------- asking */

/* The lock is held.  What the name means for who asks; NULL: nothing, or memory
 * is short. */
static struct entry *
entry_meant(struct catalog *catalog, const struct asker *asker,
            const char *name, struct remark *remark)
{
  const struct source *const *source = sources_of(&catalog->config);

  for (; *source; source++) {
    struct sense sense = { .name = name };
    const bool known = !(*source)->means;
    if (!known && !(*source)->means(&catalog->config, asker, name, &sense)) {
      remark->why = sense.why ? sense.why : remark->why;
      continue;
    }
    struct entry *entry = entry_find(catalog, *source, sense.name);
    if (known && (!entry || entry->now.gone))
      continue;
    if (!entry)
      return entry_new(catalog, *source, sense.name, &sense.origin);
    if ((*source)->differs)
      entry->now.origin = sense.origin;
    return entry;
  }
  return NULL;
}

static void
log_remark(struct remark *remark, const struct asker *asker, const char *name)
{
  if (remark->why && log_cause_pass("the disk '%s' is refused", name))
    log_notice("'%s' is refused to %s: %s", name,
               asker->identity ? asker->identity : "who has no identity",
               remark->why);
  if (remark->name)
    log_warning("export '%s': refused to %s, for %s has it", remark->name,
                remark->asker ? remark->asker : "another one",
                remark->holder ? remark->holder : "somebody");
  free(remark->name);
  free(remark->holder);
  free(remark->asker);
}

static bool
is_hidden(const struct catalog *catalog, const struct entry *entry,
          const struct asker *asker)
{
  return entry ? !origin_visible(&entry->now.origin, asker)
               : catalog->hides && !asker->tls;
}

bool
catalog_get(struct catalog *catalog, const struct asker *asker,
            const char *name, struct export_ticket *ticket)
{
  struct io_work *work = NULL;
  struct io_queue *queue = NULL;
  struct remark remark = { .why = NULL };
  bool answered = true;

  if (name[0] == '/')
    name++;
  ticket->export = NULL;
  pthread_mutex_lock(&catalog->live.lock);
  struct entry *entry = entry_meant(catalog, asker, name, &remark);
  if (is_hidden(catalog, entry, asker)) {
    ticket->refusal = EXPORT_TLS_ONLY;
    if (entry)
      entry_forget(entry);
  } else if (!entry) {
    ticket->refusal = EXPORT_UNKNOWN;
  } else if (ticket->want == EXPORT_OPENED &&
             !entry_admit(entry, asker, &remark)) {
    ticket->refusal = EXPORT_TAKEN;
    entry_forget(entry);
  } else if (entry->now.origin.stays && entry->current) {
    entry_fill_current(entry, ticket);
  } else {
    answered = false;
    queue = entry->queue;
    work = entry_wait(entry, ticket);
  }
  pthread_mutex_unlock(&catalog->live.lock);
  if (work)
    io_queue_run(queue, work);
  if (answered && ticket->refusal != EXPORT_FINE)
    log_remark(&remark, asker, name);
  return answered;
}

unsigned
catalog_count(struct catalog *catalog)
{
  unsigned n = 0;

  pthread_mutex_lock(&catalog->live.lock);
  for (const struct entry *e = catalog->entries; e; e = e->hh.next)
    n += !e->now.gone;
  pthread_mutex_unlock(&catalog->live.lock);
  return n;
}

/* ------------------------------------------------------------ what is to go */

static const struct origin gone = { .goes = true };

struct sweeping {
  struct io_work work;
  struct entry *entry; /* occupied */
};

/* On a thread of the entry's queue. */
static void
run_sweep(struct io_work *work)
{
  struct sweeping *s = CONTAINER_OF(work, struct sweeping, work);
  struct entry *entry = s->entry;
  struct catalog *catalog = entry->catalog;
  struct io_queue *queue = entry->queue;
  struct vhd_error err = { .code = VHD_OK };
  struct found found;

  free(s);
  if (entry->source->find(&catalog->config, entry->name, &gone, SOURCE_REMOVES,
                          &found, &err) < 0 &&
      err.code != VHD_OK)
    log_warning("export '%s': %s", entry->name, err.message);
  pthread_mutex_lock(&catalog->live.lock);
  struct io_work *more = entry_vacate(entry);
  pthread_mutex_unlock(&catalog->live.lock);
  if (more)
    io_queue_run(queue, more);
}

/* The lock is held.  NULL: he is here again, or memory is short. */
static struct sweeping *
begin_sweep(struct catalog *catalog, const char *name)
{
  struct sweeping *s = calloc(1, sizeof *s);

  if (s && !entry_find(catalog, &disks_source, name))
    s->entry = entry_new(catalog, &disks_source, name, &gone);
  if (s && s->entry) {
    s->work.run = run_sweep;
    entry_occupy(s->entry);
    return s;
  }
  free(s);
  return NULL;
}

void
catalog_sweep(struct catalog *catalog)
{
  const uint64_t linger =
    catalog->config.provision.linger_sec * UINT64_C(1000000000);
  char *name;

  do {
    struct sweeping *s = NULL;
    struct io_queue *queue = NULL;
    pthread_mutex_lock(&catalog->live.lock);
    name = sessions_take_gone(catalog->sessions, clock_ns(), linger);
    if (name)
      s = begin_sweep(catalog, name);
    if (s)
      queue = s->entry->queue;
    pthread_mutex_unlock(&catalog->live.lock);
    if (s)
      io_queue_run(queue, &s->work);
    free(name);
  } while (name);
}

/* -------------------------------------------------------------- start, end */

/* The lock is held: nobody has a reference to the generation any more. */
static void
on_left(struct generation *gen)
{
  struct entry *entry = gen->owner;

  if (!entry || gen->stays)
    return;
  entry->current = NULL;
  gen->owner = NULL;
  if (entry->now.origin.fresh)
    sessions_note(entry->catalog->sessions, entry->name,
                  entry->now.origin.goes, clock_ns(), entry_linger(entry));
  entry_forget(entry);
}

struct adding {
  struct catalog *catalog;
  const struct source *source;
  struct vhd_error *err;
};

static int
add_named(void *opaque, const char *name, const struct origin *origin)
{
  const struct adding *a = opaque;

  if (entry_find(a->catalog, a->source, name))
    return fail_argument(a->err, "the export '%s' is named twice", name);
  if (!entry_new(a->catalog, a->source, name, origin))
    return fail_system(a->err, ENOMEM, "export '%s'", name);
  a->catalog->hides |= origin->tls_only;
  return 0;
}

/* What no source makes on demand is known from the beginning. */
static int
add_all_named(struct catalog *catalog, struct vhd_error *err)
{
  const struct source *const *source = sources_of(&catalog->config);
  int r = 0;

  for (; *source && r == 0; source++) {
    struct adding adding = { catalog, *source, err };
    if (!(*source)->means)
      r = (*source)->each(&catalog->config, add_named, &adding);
  }
  return r;
}

int
catalog_new(const struct server_config *config, struct catalog **out,
            struct vhd_error *err)
{
  struct catalog *catalog = calloc(1, sizeof *catalog);

  if (!catalog)
    return fail_system(err, ENOMEM, "the exports");
  catalog->config = *config;
  generations_init(&catalog->live);
  catalog->live.left = on_left;
  catalog->lists = list_cache_new(catalog);
  catalog->strings = strings_new();
  catalog->sessions = sessions_new(clock_ns());
  int r = catalog->lists && catalog->strings && catalog->sessions
            ? 0
            : fail_system(err, ENOMEM, "the exports");
  if (r == 0)
    r = add_all_named(catalog, err);
  if (r < 0) {
    catalog_free(catalog);
    return r;
  }
  *out = catalog;
  return 0;
}

void
catalog_free(struct catalog *catalog)
{
  struct entry *entry, *next;

  if (!catalog)
    return;
  HASH_ITER(hh, catalog->entries, entry, next)
    entry_free(entry);
  list_cache_free(catalog->lists);
  rule_book_free(catalog->rules);
  strings_free(catalog->strings);
  sessions_free(catalog->sessions);
  generations_destroy(&catalog->live);
  free(catalog);
}
