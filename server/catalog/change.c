/* SPDX-License-Identifier: BSD-2-Clause */
/* change.c: see change.h.  First all that can fail: the strings are kept, and
 * names that are new get an entry that means nothing yet.  Then, under one hold
 * of the lock, each name gets its new meaning. */
#include "config.h"

#include "catalog/change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "catalog/entry.h"
#include "catalog/list.h"
#include "catalog/source/rule_book.h"
#include "catalog/source/strings.h"
#include "config/server_config.h"

enum difference {
  NO_DIFFERENCE,
  ADDED,
  REMOVED,
  OTHER_IMAGE,
  OTHER_WORDS, /* about the same image */
};

/* What is told of a name afterwards, and done for it. */
struct differs {
  char *name; /* or NULL: memory is short */
  enum difference how;
  unsigned clients; /* of what it meant before */
  struct io_queue *close_queue;
  struct io_work *close; /* or NULL */
  struct io_queue *open_queue;
  struct io_work *open; /* or NULL */
};

struct change {
  struct catalog *catalog;
  struct origin *origins; /* of the new exports */
  struct entry **entries; /* theirs */
  size_t n;
  struct differs *differs;
  size_t ndiffers;
};

/* -------------------------------------------------------------- preparation */

static int
keep(struct catalog *catalog, const char *text, const char **kept)
{
  *kept = text ? strings_keep(catalog->strings, text) : NULL;
  return text && !*kept ? -ENOMEM : 0;
}

static int
make_origin(struct catalog *catalog, const struct server_export *export,
            struct origin *origin)
{
  *origin = named_origin(&catalog->config, export);
  int r = keep(catalog, export->path, &origin->path);
  return r < 0 ? r : keep(catalog, export->description, &origin->description);
}

/* The lock is held.  Its entry, made where there is none; it means nothing
 * until all are there. */
static int
find_entry(struct change *c, const char *name, size_t i)
{
  static const struct origin nothing;
  struct entry *entry = entry_find(c->catalog, &named_source, name);

  if (!entry) {
    entry = entry_new(c->catalog, &named_source, name, &nothing);
    if (!entry)
      return -ENOMEM;
    entry->now.gone = true;
  }
  c->entries[i] = entry;
  return 0;
}

static void
forget_made(struct change *c, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (c->entries[i]->now.gone)
      entry_forget(c->entries[i]);
}

/* The lock is held. */
static int
find_entries(struct change *c, const struct server_export *exports)
{
  int r = 0;

  for (size_t i = 0; i < c->n && r == 0; i++) {
    r = find_entry(c, exports[i].name, i);
    if (r < 0)
      forget_made(c, i);
  }
  return r;
}

static int
prepare(struct change *c, const struct server_export *exports)
{
  const size_t room = HASH_COUNT(c->catalog->entries) + c->n + 1;
  int r = 0;

  c->origins = calloc(c->n + 1, sizeof *c->origins);
  c->entries = calloc(c->n + 1, sizeof(struct entry *));
  c->differs = calloc(room, sizeof *c->differs);
  if (!c->origins || !c->entries || !c->differs)
    return -ENOMEM;
  for (size_t i = 0; i < c->n && r == 0; i++)
    r = make_origin(c->catalog, &exports[i], &c->origins[i]);
  return r;
}

/* -------------------------------------------------------------- difference */

static enum difference
compare(const struct meaning *now, const struct origin *origin)
{
  const struct origin *old = &now->origin;

  return now->gone ? ADDED
         : !text_same(old->path, origin->path) ||
             old->readonly != origin->readonly || old->raw != origin->raw
           ? OTHER_IMAGE
         : !text_same(old->description, origin->description) ||
             old->tls_only != origin->tls_only
           ? OTHER_WORDS
           : NO_DIFFERENCE;
}

/* The lock is held. */
static struct differs *
note(struct change *c, const struct entry *entry, enum difference how)
{
  struct differs *d = &c->differs[c->ndiffers++];

  *d = (struct differs){
    .name = strdup(entry->name),
    .how = how,
    .clients = entry->current ? entry->current->refs : 0,
    .close_queue = entry->current ? entry->current->export.queue : NULL,
    .open_queue = entry->queue,
  };
  return d;
}

/* The lock is held. */
static void
give_meaning(struct change *c, struct entry *entry,
             const struct origin *origin)
{
  const enum difference how = compare(&entry->now, origin);

  if (how == NO_DIFFERENCE)
    return;
  struct differs *d = note(c, entry, how);
  if (how == OTHER_WORDS) {
    entry->now.origin = *origin;
    return;
  }
  d->close = entry_change(entry, origin);
  d->open = entry_want(entry);
}

/* The lock is held.  Names that the former configuration has alone. */
static void
remove_others(struct change *c)
{
  struct entry *entry, *next;
  const unsigned now = ++c->catalog->configured;

  for (size_t i = 0; i < c->n; i++)
    c->entries[i]->configured = now;
  HASH_ITER(hh, c->catalog->entries, entry, next) {
    if (entry->source != &named_source || entry->configured == now ||
        entry->now.gone)
      continue;
    struct differs *d = note(c, entry, REMOVED);
    d->close = entry_change(entry, NULL);
    entry_forget(entry);
  }
}

/* The lock is held.  Those that only TLS shows make a stranger's question for
 * a name that there is not look the same. */
static void
tell_others(struct change *c)
{
  c->catalog->hides = false;
  for (size_t i = 0; i < c->n; i++)
    c->catalog->hides |= c->origins[i].tls_only;
  list_cache_forget(c->catalog->lists);
}

/* --------------------------------------------------------------- afterwards */

static void
log_difference(const struct differs *d)
{
  static const char *const what[] = {
    [ADDED] = "is served from now on",
    [REMOVED] = "is not served any more",
    [OTHER_IMAGE] = "has another image from now on, or other rights",
    [OTHER_WORDS] = "is described otherwise from now on",
  };
  char who[80] = "";

  if (d->clients > 0 && d->how != OTHER_WORDS)
    snprintf(who, sizeof who,
             "; who has the former one keeps it until he leaves (clients: %u)",
             d->clients);
  log_notice("export '%s' %s%s", d->name ? d->name : "?", what[d->how], who);
}

static void
tell_difference(const struct change_listener *listener,
                const struct differs *d)
{
  static const char *const how[] = {
    [ADDED] = "added",
    [REMOVED] = "removed",
    [OTHER_IMAGE] = "image",
    [OTHER_WORDS] = "words",
  };

  log_difference(d);
  if (listener)
    listener->tell(listener->opaque, d->name ? d->name : "?", how[d->how],
                   d->how == OTHER_WORDS ? 0 : d->clients);
}

static void
carry_out(struct change *c, const struct change_listener *listener)
{
  for (size_t i = 0; i < c->ndiffers; i++) {
    struct differs *d = &c->differs[i];
    tell_difference(listener, d);
    if (d->close)
      io_queue_run(d->close_queue, d->close);
    if (d->open)
      io_queue_run(d->open_queue, d->open);
    free(d->name);
  }
  if (c->ndiffers == 0)
    log_notice("the exports are the same as before");
}

int
catalog_change(struct catalog *catalog, const struct server_export *exports,
               size_t n, const struct change_listener *listener,
               struct vhd_error *err)
{
  struct change c = { .catalog = catalog, .n = n };

  pthread_mutex_lock(&catalog->live.lock);
  int r = prepare(&c, exports);
  if (r == 0)
    r = find_entries(&c, exports);
  if (r == 0) {
    remove_others(&c);
    for (size_t i = 0; i < n; i++)
      give_meaning(&c, c.entries[i], &c.origins[i]);
    tell_others(&c);
  }
  pthread_mutex_unlock(&catalog->live.lock);
  if (r == 0)
    carry_out(&c, listener);
  else
    fail_system(err, -r, "the exports are those of before");
  free(c.origins);
  free(c.entries);
  free(c.differs);
  return r;
}

int
catalog_change_clients(struct catalog *catalog,
                       const struct provision_config *provision,
                       struct vhd_error *err)
{
  pthread_mutex_lock(&catalog->live.lock);
  const int r = rule_book_change(&catalog->config.provision, &catalog->rules,
                                 catalog->strings, provision);
  pthread_mutex_unlock(&catalog->live.lock);
  if (r > 0)
    log_notice("clients get other children from now on, or others do; who has "
               "one keeps it");
  return r < 0 ? fail_system(err, -r,
                             "what is said of clients of disks is "
                             "that of before")
               : 0;
}
