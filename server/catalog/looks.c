/* SPDX-License-Identifier: BSD-2-Clause */
/* looks.c: see looks.h. */
#include "config.h"

#include "catalog/looks.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/error.h"

/* Under way at a time; the queue has more threads, and the list needs one. */
#define MAX_LOOKS 8

/* Who comes last, the one that waits or the thread, frees it. */
struct look {
  LIST_ENTRY(look) link;
  struct io_work work;
  struct looks *looks;
  char *name;
  char path[PATH_MAX];
  const struct vhd_open_options *options;
  struct origin origin;
  struct export_facts facts;
  struct vhd_error err;
  int result;
  bool done, left; /* nobody waits any more */
};

static void
look_free(struct look *look)
{
  free(look->name);
  free(look);
}

static void
run_look(struct io_work *work)
{
  struct look *look = CONTAINER_OF(work, struct look, work);
  struct generations *live = look->looks->live;
  const struct opening how = {
    .options = look->options,
    .origin = &look->origin,
    .path = look->path,
  };

  look->result = image_look(&how, &look->facts, &look->err);
  pthread_mutex_lock(&live->lock);
  LIST_REMOVE(look, link);
  look->looks->n--;
  look->done = true;
  const bool left = look->left;
  pthread_cond_broadcast(&live->changed);
  pthread_mutex_unlock(&live->lock);
  if (left)
    look_free(look);
}

/* The lock is held. */
static bool
may_begin(const struct looks *looks, const char *name)
{
  const struct look *look;

  LIST_FOREACH(look, &looks->all, link)
  if (strcmp(look->name, name) == 0)
    return false;
  return looks->n < MAX_LOOKS;
}

/* NULL: memory is short, or what hangs keeps it from being looked at. */
static struct look *
begin(struct looks *looks, const char *name, const struct opening *how)
{
  struct look *look = calloc(1, sizeof *look);
  bool may = false;

  if (!look)
    return NULL;
  look->work.run = run_look;
  look->looks = looks;
  look->options = how->options;
  look->origin = *how->origin;
  look->name = strdup(name);
  snprintf(look->path, sizeof look->path, "%s", how->path);
  pthread_mutex_lock(&looks->live->lock);
  if (look->name && may_begin(looks, name)) {
    may = true;
    LIST_INSERT_HEAD(&looks->all, look, link);
    looks->n++;
  }
  pthread_mutex_unlock(&looks->live->lock);
  if (may) {
    io_queue_run(looks->queue, &look->work);
    return look;
  }
  look_free(look);
  return NULL;
}

/* Whether it has come to its end, in which case it is the caller's. */
static bool
await(struct look *look, unsigned msec)
{
  struct generations *live = look->looks->live;
  const struct timespec until = clock_from_now(msec);
  int r = 0;

  pthread_mutex_lock(&live->lock);
  while (!look->done && r != ETIMEDOUT)
    r = pthread_cond_timedwait(&live->changed, &live->lock, &until);
  const bool done = look->done;
  look->left = !done;
  pthread_mutex_unlock(&live->lock);
  return done;
}

void
looks_init(struct looks *looks, struct generations *live,
           struct io_queue *queue)
{
  *looks = (struct looks){ .live = live, .queue = queue };
  LIST_INIT(&looks->all);
}

int
looks_try(struct looks *looks, unsigned *patience, const char *name,
          const struct opening *how, struct export_facts *facts,
          struct vhd_error *err)
{
  struct look *look = begin(looks, name, how);

  if (!look)
    return fail_system(err, ETIMEDOUT, "%s", how->path);
  if (!await(look, *patience)) {
    *patience = LOOKS_NEXT_PATIENCE_MSEC;
    return fail_system(err, ETIMEDOUT, "%s", how->path);
  }
  const int r = look->result;
  *facts = look->facts;
  *err = look->err;
  look_free(look);
  return r;
}
