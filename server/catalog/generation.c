/* SPDX-License-Identifier: BSD-2-Clause */
/* generation.c: see generation.h. */
#include "config.h"

#include "catalog/generation.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/descriptors.h"
#include "base/log.h"
#include "base/container.h"

void
generations_init(struct generations *all)
{
  pthread_condattr_t attr;

  pthread_mutex_init(&all->lock, NULL);
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&all->changed, &attr);
  pthread_condattr_destroy(&attr);
  TAILQ_INIT(&all->all);
}

void
generations_destroy(struct generations *all)
{
  assert(TAILQ_EMPTY(&all->all));
  pthread_cond_destroy(&all->changed);
  pthread_mutex_destroy(&all->lock);
}

struct generation *
generation_new(struct generations *all, const char *name)
{
  struct generation *gen = calloc(1, sizeof *gen);

  if (!gen)
    return NULL;
  gen->all = all;
  gen->name = strdup(name);
  gen->export.name = gen->name;
  gate_init(&gen->export.gate);
  gen->export.queue = io_queue_new();
  gen->export.usages = &gen->usages;
  if (gen->name && gen->export.queue)
    return gen;
  generation_free(gen);
  return NULL;
}

void
generation_free(struct generation *gen)
{
  if (!gen)
    return;
  gate_destroy(&gen->export.gate);
  io_queue_free(gen->export.queue);
  usages_clear(&gen->usages);
  descriptors_drop_image(gen->files.n);
  free(gen->files.id);
  free(gen->name);
  free(gen->path);
  free(gen);
}

void
generation_add(struct generation *gen)
{
  TAILQ_INSERT_TAIL(&gen->all->all, gen, link);
}

void
generation_replace(struct generation *gen, struct generation *fresh)
{
  struct export *export = &gen->export;

  io_queue_forget(export->queue);
  pthread_mutex_lock(&gen->all->lock);
  descriptors_drop_image(gen->files.n);
  free(gen->files.id);
  gen->files = fresh->files;
  free(gen->path);
  gen->path = fresh->path;
  export->image = fresh->export.image;
  export->size = fresh->export.size;
  pthread_mutex_unlock(&gen->all->lock);
}

/* ------------------------------------------------------------------ closing */

static bool
has_file(const struct file_ids *files, unsigned n, const struct file_id *file)
{
  for (unsigned i = 0; i < n; i++)
    if (file_id_same(&files->id[i], file))
      return true;
  return false;
}

/* With the lock held: one that is being closed, and has the file in its chain,
 * or, as a writer, at its top. */
static bool
is_closing(struct generations *all, const struct file_id *file, bool writer)
{
  struct generation *gen;

  TAILQ_FOREACH(gen, &all->all, link)
    if (gen->closing && !(writer && gen->export.readonly) &&
        has_file(&gen->files, writer ? 1 : gen->files.n, file))
      return true;
  return false;
}

static bool
wait_closing(struct generations *all, const struct file_id *file, bool writer)
{
  bool waited = false;

  while (all->nclosing > 0 && is_closing(all, file, writer)) {
    pthread_cond_wait(&all->changed, &all->lock);
    waited = true;
  }
  return waited;
}

bool
generations_wait_closing(struct generations *all, const struct file_id *file)
{
  return wait_closing(all, file, false);
}

bool
generations_wait_writer(struct generations *all, const struct file_id *file)
{
  return wait_closing(all, file, true);
}

struct generation *
generations_find(struct generations *all, const struct file_id *file)
{
  struct generation *gen;

  TAILQ_FOREACH(gen, &all->all, link)
    if (!gen->closing && has_file(&gen->files, 1, file))
      return gen;
  return NULL;
}

/* On a thread of the generation's queue, which ends with it. */
static void
run_close(struct io_work *work)
{
  struct generation *gen = CONTAINER_OF(work, struct generation, close);
  struct generations *all = gen->all;
  struct vhd_error err = { .code = 0 };

  const int r = vhd_close(gen->export.image, &err);
  if (r < 0)
    log_error("export '%s': %s", gen->name, err.message);
  if (gen->old)
    log_notice("export '%s': the last client of its former file has left",
               gen->name);

  pthread_mutex_lock(&all->lock);
  if (r < 0 && all->close_error == 0) {
    all->close_error = r;
    all->close_err = err;
  }
  TAILQ_REMOVE(&all->all, gen, link);
  generation_free(gen);
  all->nclosing--;
  pthread_cond_broadcast(&all->changed);
  pthread_mutex_unlock(&all->lock);
}

struct io_work *
generation_begin_close(struct generation *gen)
{
  assert(gen->refs == 0 && !gen->closing && !gen->flushing);
  gen->closing = true;
  gen->all->nclosing++;
  gen->close.run = run_close;
  return &gen->close;
}

struct io_work *
generation_retire(struct generation *gen)
{
  gen->owner = NULL;
  gen->stays = false;
  gen->old = gen->refs > 0;
  return gen->refs == 0 && !gen->flushing && !gen->closing
           ? generation_begin_close(gen)
           : NULL;
}

/* ----------------------------------------------------------------- flushing */

static void
flush(struct generation *gen)
{
  struct export *export = &gen->export;

  if (!gate_enter(&export->gate))
    return;
  const int r = vhd_flush(export->image);
  gate_exit(&export->gate);
  if (r < 0)
    log_error("export '%s': cannot make it durable: %s", gen->name,
              strerror(-r));
}

/* On a thread of the generation's queue: the last client of an image that stays
 * open has gone.  It may be told meanwhile to stay no longer. */
static void
run_flush(struct io_work *work)
{
  struct generation *gen = CONTAINER_OF(work, struct generation, flush);
  struct generations *all = gen->all;
  bool again, closes = false;

  do {
    flush(gen);
    pthread_mutex_lock(&all->lock);
    again = gen->flush_again;
    gen->flush_again = false;
    gen->flushing = again;
    if (!again && gen->refs == 0 && !gen->stays && !gen->closing) {
      generation_begin_close(gen);
      closes = true;
    }
    pthread_cond_broadcast(&all->changed);
    pthread_mutex_unlock(&all->lock);
  } while (again);
  if (closes)
    run_close(&gen->close);
}

/* The lock is held. */
static struct io_work *
begin_flush(struct generation *gen)
{
  if (gen->flushing) {
    gen->flush_again = true;
    return NULL;
  }
  gen->flushing = true;
  gen->flush.run = run_flush;
  return &gen->flush;
}

void
export_unref(struct export *export)
{
  struct generation *gen = (struct generation *)export;
  struct generations *all = gen->all;
  struct io_queue *queue = export->queue;
  struct io_work *work = NULL;

  pthread_mutex_lock(&all->lock);
  assert(gen->refs > 0 && !gen->closing);
  if (--gen->refs == 0) {
    if (all->left)
      all->left(gen);
    if (!gen->stays)
      work = gen->flushing ? NULL : generation_begin_close(gen);
    else if (!export->readonly)
      work = begin_flush(gen);
    pthread_cond_broadcast(&all->changed);
  }
  pthread_mutex_unlock(&all->lock);
  if (work)
    io_queue_run(queue, work);
}

/* --------------------------------------------------------------- reclaiming */

/* What a step needs done; such a request never waits for another one.  A hole
 * that is being punched locks the file, of which the loops are to know. */
static void
reclaim(struct export *export)
{
  struct vhd_request req;

  if (vhd_request_start(&req, export->image, VHD_RECLAIM, 0, 0, NULL, 0) < 0)
    return;
  while (vhd_request_step(&req) == VHD_STEP_IO)
    for (unsigned i = 0; i < req.nio; i++)
      io_perform(export->queue, &req.io[i]);
}

/* Whether there may be more. */
static bool
reclaim_some(struct generation *gen)
{
  struct export *export = &gen->export;

  if (!gate_enter(&export->gate))
    return false;
  const bool some = vhd_has_background(export->image);
  if (some)
    reclaim(export);
  gate_exit(&export->gate);
  return some;
}

static bool
has_background(struct generation *gen)
{
  struct export *export = &gen->export;

  if (!gate_enter(&export->gate))
    return false;
  const bool some = vhd_has_background(export->image);
  gate_exit(&export->gate);
  return some;
}

/* On a thread of the generation's queue. */
static void
run_reclaim(struct io_work *work)
{
  struct generation *gen = CONTAINER_OF(work, struct generation, reclaim);

  do {
    while (reclaim_some(gen))
      ;
    atomic_store(&gen->reclaiming, false);
  } while (has_background(gen) && !atomic_exchange(&gen->reclaiming, true));
  pthread_mutex_lock(&gen->all->lock);
  gen->reclaims--;
  pthread_mutex_unlock(&gen->all->lock);
  export_unref(&gen->export);
}

void
export_start_reclaim(struct export *export)
{
  struct generation *gen = (struct generation *)export;

  if (atomic_exchange(&gen->reclaiming, true))
    return;
  pthread_mutex_lock(&gen->all->lock);
  gen->refs++;
  gen->reclaims++;
  pthread_mutex_unlock(&gen->all->lock);
  gen->reclaim.run = run_reclaim;
  io_queue_run(export->queue, &gen->reclaim);
}
