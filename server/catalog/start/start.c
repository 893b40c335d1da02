/* SPDX-License-Identifier: BSD-2-Clause */
/* start.c: see start.h.
 *
 * All images are opened at the same time, by a bounded crew, each once.  What
 * is an ancestor of something that is served must not be written to; but who
 * its ancestors are an image tells only when it is open.  So:
 *
 *  1. What was changed last is opened first: a child is younger than what it
 *     stands on, else it would be worth nothing.  An image that is known by
 *     then to be an ancestor is opened read-only.
 *  2. Where a parent came first, the locks refuse one of the two, with
 *     VHD_BUSY: nothing of both can be open in a way that harms.  When all have
 *     been tried, the chains of those that were refused are looked at,
 *     ancestors that were opened for writing are closed, and what is not open
 *     is opened again.
 *  3. Who is refused then is held by somebody else, and the start fails. */
#include "config.h"

#include "catalog/start/start.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/descriptors.h"
#include "base/error.h"
#include "base/log.h"
#include "catalog/start/bases.h"
#include "catalog/start/crew.h"
#include "catalog/entry.h"
#include "catalog/start/relatives.h"
#include "config/server_config.h"

/* Most of the time they wait for a disk. */
#define THREADS 16

/* An export to be opened. */
struct candidate {
  struct entry *entry;
  struct file_id file;  /* inode 0: not there */
  struct timespec time; /* when it was changed */
  size_t order;         /* as on the command line */
  bool readonly;        /* an ancestor */
  bool busy;
};

struct start {
  struct catalog *catalog;
  struct candidate *all;
  size_t n;
  /* Under the catalog's lock: */
  struct relatives *ancestors;
  bool settled;          /* who is busy now is held by somebody else */
  struct vhd_error *err; /* of the first on the command line that failed */
  size_t failed;         /* its .order; SIZE_MAX: none */
  int result;
};

static struct opening
how_to_open(const struct candidate *c)
{
  return (struct opening){
    .options = &c->entry->catalog->config.open,
    .origin = &c->entry->now.origin,
    .path = c->entry->now.origin.path,
    .readonly = c->readonly,
  };
}

/* The lock is held.  Is it one that must be spared from now on? */
static void
spare_ancestor(struct start *s, struct candidate *c)
{
  const char *child = relatives_find(s->ancestors, &c->file);

  if (!child || c->readonly || c->entry->now.origin.readonly)
    return;
  c->readonly = true;
  log_notice("export '%s': it is a parent of '%s', which is served too; "
             "serving it read-only",
             c->entry->name, child);
}

/* The lock is held. */
static int
note_ancestors(struct start *s, const struct file_ids *files,
               const char *child)
{
  int r = 0;

  for (unsigned i = 1; i < files->n && r == 0; i++)
    r = relatives_add(s->ancestors, &files->id[i], child);
  return r;
}

/* The lock is held. */
static void
note_failure(struct start *s, const struct candidate *c, int r,
             const struct vhd_error *err)
{
  if (c->order >= s->failed)
    return;
  const char *limit = descriptors_explain(r);

  s->failed = c->order;
  s->result = r;
  *s->err = *err;
  if (limit)
    snprintf(s->err->message, sizeof s->err->message, "%.*s; %s",
             (int)(sizeof s->err->message - strlen(limit) - 3), err->message,
             limit);
}

/* -------------------------------------------------------------- the rounds */

/* The lock is held. */
static void
opened(struct start *s, struct candidate *c, struct generation *gen)
{
  struct vhd_error err;

  gen->owner = c->entry;
  c->entry->current = gen;
  generation_add(gen);
  if (note_ancestors(s, &gen->files, c->entry->name) < 0)
    note_failure(s, c, fail_system(&err, ENOMEM, "%s", c->entry->name), &err);
}

static void
open_one(void *opaque, size_t i)
{
  struct start *s = opaque;
  struct candidate *c = &s->all[i];
  struct generations *live = &s->catalog->live;
  struct vhd_error err = { .code = 0 };

  pthread_mutex_lock(&live->lock);
  const bool skip = c->entry->current || s->result < 0;
  if (!skip)
    spare_ancestor(s, c);
  pthread_mutex_unlock(&live->lock);
  if (skip)
    return;
  const struct opening how = how_to_open(c);
  struct generation *gen = generation_new(live, c->entry->name);
  const int r = gen ? image_open(&how, gen, &err)
                    : fail_system(&err, ENOMEM, "%s", how.path);
  pthread_mutex_lock(&live->lock);
  c->busy = r < 0 && err.code == VHD_BUSY;
  if (r == 0)
    opened(s, c, gen);
  else if (!c->busy || s->settled)
    note_failure(s, c, r, &err);
  pthread_mutex_unlock(&live->lock);
  if (r < 0)
    generation_free(gen);
}

/* Somebody holds it, or an ancestor: it may be one of us. */
static void
look_one(void *opaque, size_t i)
{
  struct start *s = opaque;
  struct candidate *c = &s->all[i];
  const struct opening how = how_to_open(c);
  struct file_ids files;
  struct vhd_error err;

  if (!c->busy)
    return;
  int r = image_look_chain(&how, &files, &err);
  pthread_mutex_lock(&s->catalog->live.lock);
  if (r == 0) {
    if (note_ancestors(s, &files, c->entry->name) < 0)
      note_failure(s, c, fail_system(&err, ENOMEM, "%s", how.path), &err);
    free(files.id);
  } else {
    note_failure(s, c, r, &err);
  }
  pthread_mutex_unlock(&s->catalog->live.lock);
}

/* What is open is to be opened otherwise, or not at all. */
static void
shut(struct start *s, struct candidate *c)
{
  struct generations *live = &s->catalog->live;
  struct generation *gen = c->entry->current;
  struct vhd_error err;

  const int r = vhd_close(gen->export.image, &err);
  pthread_mutex_lock(&live->lock);
  c->entry->current = NULL;
  TAILQ_REMOVE(&live->all, gen, link);
  if (r < 0)
    note_failure(s, c, r, &err);
  pthread_mutex_unlock(&live->lock);
  generation_free(gen);
}

/* An ancestor that is open for writing is closed, to be opened again. */
static void
shut_ancestor(void *opaque, size_t i)
{
  struct start *s = opaque;
  struct candidate *c = &s->all[i];

  pthread_mutex_lock(&s->catalog->live.lock);
  spare_ancestor(s, c);
  pthread_mutex_unlock(&s->catalog->live.lock);
  if (c->readonly && c->entry->current && !c->entry->current->export.readonly)
    shut(s, c);
}

/* The start has failed. */
static void
shut_any(void *opaque, size_t i)
{
  struct start *s = opaque;

  if (s->all[i].entry->current)
    shut(s, &s->all[i]);
}

static bool
any_busy(const struct start *s)
{
  for (size_t i = 0; i < s->n; i++)
    if (s->all[i].busy)
      return true;
  return false;
}

static int
open_all(struct start *s)
{
  crew_run(THREADS, s->n, open_one, s);
  if (s->result < 0 || !any_busy(s))
    return s->result;
  crew_run(THREADS, s->n, look_one, s);
  if (s->result < 0)
    return s->result;
  crew_run(THREADS, s->n, shut_ancestor, s);
  s->settled = true;
  crew_run(THREADS, s->n, open_one, s);
  return s->result;
}

/* ---------------------------------------------------------- the candidates */

static int
youngest_first(const void *a, const void *b)
{
  const struct candidate *x = a, *y = b;

  if (x->time.tv_sec != y->time.tv_sec)
    return x->time.tv_sec < y->time.tv_sec ? 1 : -1;
  if (x->time.tv_nsec != y->time.tv_nsec)
    return x->time.tv_nsec < y->time.tv_nsec ? 1 : -1;
  return x->order < y->order ? -1 : 1;
}

static void
add_candidate(struct start *s, struct entry *entry)
{
  struct candidate *c = &s->all[s->n];
  struct stat st;

  *c = (struct candidate){ .entry = entry, .order = s->n };
  if (stat(entry->now.origin.path, &st) == 0) {
    c->file = (struct file_id){ st.st_dev, st.st_ino };
    c->time = st.st_mtim;
  }
  s->n++;
}

static int
find_candidates(struct start *s)
{
  struct entry *entry;

  s->all = calloc(HASH_COUNT(s->catalog->entries), sizeof *s->all);
  if (!s->all)
    return -ENOMEM;
  for (entry = s->catalog->entries; entry; entry = entry->hh.next)
    if (entry->now.origin.stays && !entry->current)
      add_candidate(s, entry);
  qsort(s->all, s->n, sizeof *s->all, youngest_first);
  return 0;
}

int
catalog_start(struct catalog *catalog, struct vhd_error *err)
{
  struct start s = { .catalog = catalog, .err = err, .failed = SIZE_MAX };

  if (!catalog->entries)
    return 0;
  s.ancestors = relatives_new();
  int r = s.ancestors ? find_candidates(&s) : -ENOMEM;
  if (r < 0)
    fail_system(err, ENOMEM, "the exports");
  else
    r = open_all(&s);
  if (r < 0)
    crew_run(THREADS, s.n, shut_any, &s);
  else
    warn_of_bases(catalog);
  relatives_free(s.ancestors);
  free(s.all);
  return r;
}
