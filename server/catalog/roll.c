/* SPDX-License-Identifier: BSD-2-Clause */
/* roll.c: see roll.h. */
#include "config.h"

#include "catalog/roll.h"

#include "catalog/entry.h"

static void
fill_open(struct roll_entry *entry, const struct generation *gen)
{
  entry->name = gen->export.name;
  entry->path = gen->path;
  entry->note = gen->export.note;
  entry->size = gen->export.size;
  entry->depth = gen->files.n > 0 ? gen->files.n - 1 : 0;
  entry->readonly = gen->export.readonly;
  entry->tls_only = gen->export.tls_only;
  entry->users = gen->refs;
  entry->usages = gen->export.usages;
}

static struct roll_entry
entry_of(const struct entry *e)
{
  struct roll_entry entry = {
    .name = e->name,
    .path = e->now.origin.path,
    .description = e->now.origin.description,
    .trouble = e->trouble,
    .state = ROLL_NOT_OPEN,
    .readonly = e->now.origin.readonly,
    .tls_only = e->now.origin.tls_only,
  };

  if (e->current) {
    fill_open(&entry, e->current);
    entry.state = ROLL_OPEN;
    entry.tls_only = e->now.origin.tls_only;
  }
  return entry;
}

void
catalog_roll(struct catalog *catalog,
             void (*visit)(void *opaque, const struct roll_entry *entry),
             void *opaque)
{
  const struct generation *gen;

  pthread_mutex_lock(&catalog->live.lock);
  for (const struct entry *e = catalog->entries; e; e = e->hh.next) {
    const struct roll_entry entry = entry_of(e);
    if (!e->now.gone)
      visit(opaque, &entry);
  }
  TAILQ_FOREACH(gen, &catalog->live.all, link) {
    struct roll_entry entry = { .state = ROLL_FORMER };
    if (gen->owner || gen->closing)
      continue;
    fill_open(&entry, gen);
    visit(opaque, &entry);
  }
  pthread_mutex_unlock(&catalog->live.lock);
}
