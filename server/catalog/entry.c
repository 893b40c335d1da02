/* SPDX-License-Identifier: BSD-2-Clause */
/* entry.c: see entry.h. */
#include "config.h"

#include "catalog/entry.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/descriptors.h"
#include "base/error.h"
#include "base/log.h"
#include "base/log_cause.h"
#include "base/container.h"
#include "base/clock.h"
#include "nbd/protocol.h"

static void run_looks(struct io_work *work);
static void run_opens(struct io_work *work);

/* ------------------------------------------------------------- life, death */

static void
init_desk(struct desk *desk, struct entry *entry,
          void (*run)(struct io_work *))
{
  desk->entry = entry;
  desk->work.run = run;
  STAILQ_INIT(&desk->waiters);
}

struct entry *
entry_find(struct catalog *catalog, const struct source *source,
           const char *name)
{
  char key[NBD_MAX_STRING + 2];
  struct entry *entry = NULL;

  key[0] = source->tag;
  if (strlen(name) <= NBD_MAX_STRING) {
    strcpy(key + 1, name);
    HASH_FIND_STR(catalog->entries, key, entry);
  }
  return entry;
}

struct entry *
entry_named(struct catalog *catalog, const char *name)
{
  const struct source *const *source = sources_of(&catalog->config);
  struct entry *entry = NULL;

  for (; *source && !entry; source++) {
    entry = entry_find(catalog, *source, name);
    if (entry && entry->now.gone)
      entry = NULL;
  }
  return entry;
}

struct entry *
entry_new(struct catalog *catalog, const struct source *source,
          const char *name, const struct origin *origin)
{
  struct entry *entry = calloc(1, sizeof *entry);

  if (!entry)
    return NULL;
  entry->catalog = catalog;
  entry->source = source;
  entry->now.origin = *origin;
  entry->queue = io_queue_new();
  if (asprintf(&entry->key, "%c%s", source->tag, name) < 0)
    entry->key = NULL;
  init_desk(&entry->looks, entry, run_looks);
  init_desk(&entry->opens, entry, run_opens);
  if (entry->key && entry->queue) {
    entry->name = entry->key + 1;
    HASH_ADD_KEYPTR(hh, catalog->entries, entry->key, strlen(entry->key),
                    entry);
    if (entry->hh.tbl)
      return entry;
  }
  io_queue_free(entry->queue);
  free(entry->key);
  free(entry);
  return NULL;
}

bool
entry_is_idle(const struct entry *entry)
{
  return !entry->looks.busy && !entry->opens.busy;
}

void
entry_free(struct entry *entry)
{
  assert(entry_is_idle(entry) && !entry->current);
  HASH_DEL(entry->catalog->entries, entry);
  io_queue_free(entry->queue);
  free(entry->trouble);
  free(entry->holder);
  free(entry->key);
  free(entry);
}

bool
entry_forget(struct entry *entry)
{
  const bool useless = !entry->now.origin.stays && !entry->current &&
                       entry_is_idle(entry);

  if (useless)
    entry_free(entry);
  return useless;
}

struct io_work *
entry_change(struct entry *entry, const struct origin *origin)
{
  struct generation *gen = entry->current;

  entry->now.gone = origin == NULL;
  entry->now.origin = origin ? *origin : (struct origin){ .path = NULL };
  entry->now.changes++;
  entry->current = NULL;
  return gen ? generation_retire(gen) : NULL;
}

int
entry_each(struct catalog *catalog, source_visit *visit, void *opaque)
{
  int r = 0;

  for (const struct entry *e = catalog->entries; e && r == 0; e = e->hh.next)
    if (e->now.origin.stays)
      r = visit(opaque, e->name, &e->now.origin);
  return r;
}

/* ------------------------------------------------------------------ answers */

/* Any thread: the ticket's way back to its loop. */
static void
answer(struct export_ticket *ticket, enum export_refusal refusal)
{
  ticket->refusal = refusal;
  loop_post(ticket->loop, &ticket->done);
}

void
entry_fill_current(struct entry *entry, struct export_ticket *ticket)
{
  struct generation *gen = entry->current;

  ticket->facts = (struct export_facts){
    .description = entry->now.origin.description,
    .note = gen->export.note,
    .size = gen->export.size,
    .readonly = gen->export.readonly,
    .tls_only = entry->now.origin.tls_only,
  };
  if (ticket->want == EXPORT_OPENED) {
    gen->refs++;
    ticket->export = &gen->export;
  }
  ticket->refusal = EXPORT_FINE;
}

/* The lock is held. */
static void
answer_all_current(struct entry *entry, struct export_tickets *tickets)
{
  struct export_ticket *ticket;

  while ((ticket = STAILQ_FIRST(tickets)) != NULL) {
    STAILQ_REMOVE_HEAD(tickets, link);
    entry_fill_current(entry, ticket);
    loop_post(ticket->loop, &ticket->done);
  }
}

static void
answer_all(struct export_tickets *tickets, enum export_refusal refusal,
           const struct export_facts *facts)
{
  struct export_ticket *ticket;

  while ((ticket = STAILQ_FIRST(tickets)) != NULL) {
    STAILQ_REMOVE_HEAD(tickets, link);
    ticket->facts = *facts;
    answer(ticket, refusal);
  }
}

/* Why an image could not be opened or looked at, told to the log. */
static enum export_refusal
explain(const struct entry *entry, const struct meaning *meaning, int r,
        const struct vhd_error *err)
{
  if (r == -ENOENT && err->code != VHD_PARENT_MISSING &&
      !meaning->origin.stays)
    return EXPORT_UNKNOWN;
  const char *limit = descriptors_explain(r);
  if (log_cause_pass("the export '%s', which cannot be opened", entry->name))
    log_warning("export '%s': %s%s%s", entry->name, err->message,
                limit ? "; " : "", limit ? limit : "");
  return err->code == VHD_BUSY          ? EXPORT_BUSY
         : limit                        ? EXPORT_SHORT
         : r == -ENOSPC || r == -EDQUOT ? EXPORT_FULL
                                        : EXPORT_BROKEN;
}

/* -------------------------------------------------------------------- desks */

/* All who wait at the desk now, and what for; false: nobody, and the entry may
 * be gone. */
static bool
take_waiters(struct desk *desk, struct export_tickets *tickets,
             struct meaning *meaning)
{
  struct entry *entry = desk->entry;
  struct catalog *catalog = entry->catalog;

  STAILQ_INIT(tickets);
  pthread_mutex_lock(&catalog->live.lock);
  STAILQ_CONCAT(tickets, &desk->waiters);
  const bool wanted = entry->wanted && desk == &entry->opens;
  const bool some = wanted || !STAILQ_EMPTY(tickets);
  desk->serves = !STAILQ_EMPTY(tickets);
  *meaning = entry->now;
  if (wanted)
    entry->wanted = false;
  if (!some) {
    desk->busy = false;
    entry_forget(entry);
    pthread_cond_broadcast(&catalog->live.changed);
  }
  pthread_mutex_unlock(&catalog->live.lock);
  return some;
}

struct io_work *
entry_wait(struct entry *entry, struct export_ticket *ticket)
{
  struct desk *desk = ticket->want == EXPORT_OPENED ? &entry->opens
                                                    : &entry->looks;

  STAILQ_INSERT_TAIL(&desk->waiters, ticket, link);
  if (desk->busy)
    return NULL;
  desk->busy = true;
  return &desk->work;
}

struct io_work *
entry_want(struct entry *entry)
{
  entry->wanted = true;
  if (entry->opens.busy)
    return NULL;
  entry->opens.busy = true;
  return &entry->opens.work;
}

bool
entry_occupy(struct entry *entry)
{
  const bool free = !entry->opens.busy;

  entry->opens.busy = true;
  return free;
}

struct io_work *
entry_vacate(struct entry *entry)
{
  struct desk *desk = &entry->opens;

  if (entry->wanted || !STAILQ_EMPTY(&desk->waiters))
    return &desk->work;
  desk->busy = false;
  pthread_cond_broadcast(&entry->catalog->live.changed);
  entry_forget(entry);
  return NULL;
}

/* Is this the file that is open already?  Then all are answered. */
static bool
answer_if_current(struct entry *entry, const struct file_id *file,
                  struct export_tickets *tickets)
{
  struct catalog *catalog = entry->catalog;

  pthread_mutex_lock(&catalog->live.lock);
  const bool same = entry->current &&
                    file_id_same(&entry->current->files.id[0], file);
  if (same)
    answer_all_current(entry, tickets);
  pthread_mutex_unlock(&catalog->live.lock);
  return same;
}

/* ------------------------------------------------------------------ opening */

/* An image is held by somebody: by a generation that is being closed?  Waits
 * for that; then it is worth another try. */
static bool
wait_for_our_own(struct catalog *catalog, const struct opening *how)
{
  struct file_ids files;
  struct vhd_error err;
  bool waited = false;

  if (image_look_chain(how, &files, &err) < 0)
    return false;
  pthread_mutex_lock(&catalog->live.lock);
  waited = generations_wait_closing(&catalog->live, &files.id[0]);
  for (unsigned i = 1; i < files.n; i++)
    waited |= generations_wait_writer(&catalog->live, &files.id[i]);
  pthread_mutex_unlock(&catalog->live.lock);
  free(files.id);
  return waited;
}

static int
open_generation(struct entry *entry, const struct opening *how,
                const struct file_id *file, struct generation **gen,
                struct vhd_error *err)
{
  struct catalog *catalog = entry->catalog;
  int r;

  *gen = generation_new(&catalog->live, entry->name);
  if (!*gen)
    return fail_system(err, ENOMEM, "%s", how->path);
  do {
    pthread_mutex_lock(&catalog->live.lock);
    generations_wait_closing(&catalog->live, file);
    pthread_mutex_unlock(&catalog->live.lock);
    r = image_open(how, *gen, err);
  } while (r < 0 && err->code == VHD_BUSY && wait_for_our_own(catalog, how));
  if (r < 0)
    generation_free(*gen);
  return r;
}

/* What the log says of an image that was renamed while it is in use. */
static void
log_other_name(struct entry *entry, const struct file_id *file)
{
  struct catalog *catalog = entry->catalog;
  char *name = NULL;

  pthread_mutex_lock(&catalog->live.lock);
  const struct generation *gen = generations_find(&catalog->live, file);
  if (gen)
    name = strdup(gen->name);
  pthread_mutex_unlock(&catalog->live.lock);
  if (name &&
      log_cause_pass("the export '%s', which has two names", entry->name))
    log_warning("export '%s': its file is in use as '%s' still", entry->name,
                name);
  free(name);
}

/* The entry has another file than before, or one again.  False: not this one,
 * for the name means something else by now. */
static bool
set_current(struct entry *entry, struct generation *gen, unsigned changes,
            struct export_tickets *tickets)
{
  struct catalog *catalog = entry->catalog;
  unsigned left = 0;

  pthread_mutex_lock(&catalog->live.lock);
  if (entry->now.changes != changes) {
    pthread_mutex_unlock(&catalog->live.lock);
    return false;
  }
  struct generation *old = entry->current;
  if (old) {
    old->owner = NULL;
    old->old = true;
    left = old->refs;
  }
  entry->current = gen;
  free(entry->trouble);
  entry->trouble = NULL;
  gen->owner = entry;
  generation_add(gen);
  answer_all_current(entry, tickets);
  pthread_mutex_unlock(&catalog->live.lock);
  if (left > 0)
    log_notice("export '%s': its file was replaced; who has the former one "
               "keeps it until he leaves (clients: %u)",
               entry->name, left);
  return true;
}

/* Nobody has it, and nobody will. */
static void
discard(struct generation *gen)
{
  vhd_close(gen->export.image, NULL);
  generation_free(gen);
}

/* For who looks after the server. */
static void
note_trouble(struct entry *entry, const char *text)
{
  char *trouble = strdup(text);

  pthread_mutex_lock(&entry->catalog->live.lock);
  free(entry->trouble);
  entry->trouble = trouble;
  pthread_mutex_unlock(&entry->catalog->live.lock);
}

/* False: what was opened is not what the name means by now, and they wait
 * still. */
static bool
serve_opens(struct entry *entry, const struct meaning *meaning,
            struct export_tickets *tickets)
{
  static const struct export_facts none;
  struct file_id file = { .inode = 0 };
  struct vhd_error err = { .code = 0 };
  struct generation *gen;
  struct found found;

  const struct opening how = {
    .options = catalog_open_options(entry->catalog, entry->source),
    .origin = &meaning->origin,
    .path = found.path,
  };
  int r = entry_find_to_open(entry, meaning, &found, &err);
  if (r == 0) {
    if (file_id_of(found.path, &file) == 0 &&
        answer_if_current(entry, &file, tickets))
      return true;
    r = open_generation(entry, &how, &file, &gen, &err);
  }
  if (r == 0) {
    if (set_current(entry, gen, meaning->changes, tickets))
      return true;
    discard(gen);
    return false;
  }
  const enum export_refusal why = explain(entry, meaning, r, &err);
  if (why == EXPORT_BUSY)
    log_other_name(entry, &file);
  if (why != EXPORT_UNKNOWN)
    note_trouble(entry, err.message);
  answer_all(tickets, why, &none);
  return true;
}

/* The lock is not held. */
static void
wait_again(struct desk *desk, struct export_tickets *tickets)
{
  struct catalog *catalog = desk->entry->catalog;

  pthread_mutex_lock(&catalog->live.lock);
  STAILQ_CONCAT(&desk->waiters, tickets);
  desk->entry->wanted |= !desk->entry->now.gone;
  pthread_mutex_unlock(&catalog->live.lock);
}

/* On a thread of the entry's queue. */
static void
run_opens(struct io_work *work)
{
  struct desk *desk = CONTAINER_OF(work, struct desk, work);
  struct entry *entry = desk->entry;
  struct export_tickets tickets;
  struct meaning meaning;

  while (take_waiters(desk, &tickets, &meaning))
    if (!serve_opens(entry, &meaning, &tickets))
      wait_again(desk, &tickets);
}

/* ------------------------------------------------------------------ looking */

/* Answers those who ask whether there is such an image. */
static void
answer_existence(struct export_tickets *tickets)
{
  struct export_tickets others = STAILQ_HEAD_INITIALIZER(others);
  struct export_ticket *ticket;

  while ((ticket = STAILQ_FIRST(tickets)) != NULL) {
    STAILQ_REMOVE_HEAD(tickets, link);
    if (ticket->want == EXPORT_EXISTS)
      answer(ticket, EXPORT_FINE);
    else
      STAILQ_INSERT_TAIL(&others, ticket, link);
  }
  STAILQ_CONCAT(tickets, &others);
}

static void
serve_looks(struct entry *entry, const struct meaning *meaning,
            struct export_tickets *tickets)
{
  struct export_facts facts = { .size = 0 };
  struct vhd_error err = { .code = 0 };
  struct file_id file;
  struct found found;

  int r = entry_find_to_look(entry, meaning, &found, &err);
  if (r < 0) {
    answer_all(tickets, explain(entry, meaning, r, &err), &facts);
    return;
  }
  answer_existence(tickets);
  if (STAILQ_EMPTY(tickets) || (file_id_of(found.path, &file) == 0 &&
                                answer_if_current(entry, &file, tickets)))
    return;
  const struct opening how = {
    .options = catalog_open_options(entry->catalog, entry->source),
    .origin = &meaning->origin,
    .path = found.path,
    .will_be = found.will_be,
  };
  r = image_look(&how, &facts, &err);
  answer_all(tickets, r < 0 ? explain(entry, meaning, r, &err) : EXPORT_FINE,
             &facts);
}

/* On a thread of the entry's queue. */
static void
run_looks(struct io_work *work)
{
  struct desk *desk = CONTAINER_OF(work, struct desk, work);
  struct entry *entry = desk->entry;
  struct export_tickets tickets;
  struct meaning meaning;

  while (take_waiters(desk, &tickets, &meaning))
    serve_looks(entry, &meaning, &tickets);
}
