/* SPDX-License-Identifier: BSD-2-Clause */
/* online.c: see online.h. */
#include "config.h"

#include "online/online.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/log.h"
#include "catalog/entry.h"
#include "config/server_config.h"

/* So long requests that are under way may take to end. */
#define CLOSE_MSEC 10000
/* So long somebody else may have an image that was ours, */
#define BUSY_MSEC 30000
/* and so long it may not be opened for another reason: a helper has died, say,
 * or memory is short. */
#define REOPEN_MSEC 5000
#define REOPEN_PAUSE_MSEC 20

/* An export whose name nobody else opens. */
struct online {
  struct catalog *catalog;
  const struct online_hands *hands;
  const struct online_order *order;
  struct generation *gen; /* a reference */
  struct entry *entry;    /* occupied; NULL: not yet */
  struct meaning meaning;
  struct found found;
};

/* ----------------------------------------------------- taking, giving back */

/* Waits until nobody opens it; false: the name has another image by now, or
 * none. */
static bool
occupy(struct online *o)
{
  struct generations *live = &o->catalog->live;
  bool done = false;

  pthread_mutex_lock(&live->lock);
  for (;;) {
    struct entry *entry = entry_named(o->catalog, o->order->export);
    if (!entry || entry->current != o->gen)
      break;
    done = entry_occupy(entry);
    if (done) {
      o->entry = entry;
      o->meaning = entry->now;
      break;
    }
    pthread_cond_wait(&live->changed, &live->lock);
  }
  pthread_mutex_unlock(&live->lock);
  return done;
}

struct online *
online_new(struct catalog *catalog, const struct online_hands *hands,
           const struct online_order *order, struct vhd_error *err)
{
  struct online *o = calloc(1, sizeof *o);

  if (!o) {
    fail_system(err, ENOMEM, "export '%s'", order->export);
    return NULL;
  }
  *o = (struct online){ .catalog = catalog, .hands = hands, .order = order };
  pthread_mutex_lock(&catalog->live.lock);
  const struct entry *entry = entry_named(catalog, order->export);
  if (entry && entry->current) {
    o->gen = entry->current;
    o->gen->refs++;
  }
  pthread_mutex_unlock(&catalog->live.lock);
  if (o->gen)
    return o;
  fail_system(err, ENOENT, "no export '%s' is in use", order->export);
  free(o);
  return NULL;
}

static void
give_back(struct online *o)
{
  struct generations *live = &o->catalog->live;
  struct io_queue *queue = o->entry ? o->entry->queue : NULL;
  struct io_work *work = NULL;

  export_unref(&o->gen->export);
  pthread_mutex_lock(&live->lock);
  if (o->entry)
    work = entry_vacate(o->entry);
  pthread_mutex_unlock(&live->lock);
  if (work)
    io_queue_run(queue, work);
  free(o);
}

/* -------------------------------------------------- may it, and is it well */

static int
refuse(struct vhd_error *err, const struct online *o, const char *why)
{
  const int r = fail_argument(err, "export '%s': %s", o->order->export, why);

  err->code = VHD_STATE;
  return r;
}

static int
check(struct online *o, struct vhd_error *err)
{
  struct file_id file;
  struct vhd_error why;

  if (o->entry->source->find(&o->catalog->config, o->entry->name,
                             &o->meaning.origin, SOURCE_LOOKS, &o->found,
                             &why) < 0 ||
      o->found.will_be || file_id_of(o->found.path, &file) < 0 ||
      !file_id_same(&file, &o->gen->files.id[0]))
    return refuse(err, o, "its name leads to another file by now");
  if (o->entry->source == &disks_source)
    return refuse(
      err, o,
      "it is a disk's, whose files have their own order: versions, "
      "and a child of one of them for each client");
  if (o->gen->export.readonly)
    return refuse(err, o, "it is served read-only");
  if (o->meaning.origin.raw)
    return refuse(err, o, "it is no VHD but a raw file");
  if (o->order->what == ONLINE_RESIZE && o->order->size < o->gen->export.size)
    return refuse(err, o,
                  "clients that use a disk cannot be given less of it; "
                  "it can be made smaller when nobody uses it");
  if (o->order->what == ONLINE_MERGE && !vhd_parent(o->gen->export.image))
    return refuse(err, o, "it stands on no other image");
  return 0;
}

/* What can be done before clients must wait; and a disk that has failed is not
 * touched. */
static int
flush(struct online *o, struct vhd_error *err)
{
  struct export *export = &o->gen->export;

  if (!gate_enter(&export->gate))
    return refuse(err, o, "its image could not be opened again");
  const int r = vhd_flush(export->image);
  gate_exit(&export->gate);
  return r < 0 ? fail_system(err, -r, "export '%s': cannot make it durable",
                             export->name)
               : 0;
}

/* --------------------------------------------------------- closed, and open */

static int
step(struct online *o, enum online_step step, struct vhd_error *err)
{
  return o->hands->step(o->hands->opaque, step, o->found.path, o->order, err);
}

static void
pause_msec(unsigned msec)
{
  const struct timespec t = { .tv_nsec = (long)msec * 1000000 };

  nanosleep(&t, NULL);
}

/* What stands in the way may go: clients had better wait than be cut off. */
static int
reopen(struct online *o, struct generation *fresh, struct vhd_error *err)
{
  const struct opening how = {
    .options = catalog_open_options(o->catalog, o->entry->source),
    .origin = &o->meaning.origin,
    .path = o->found.path,
  };
  const uint64_t began = clock_ns();
  int r;

  for (;;) {
    r = image_open(&how, fresh, err);
    const uint64_t patience = err->code == VHD_BUSY ? BUSY_MSEC : REOPEN_MSEC;
    if (r == 0 || clock_ns() - began >= patience * UINT64_C(1000000))
      return r;
    pause_msec(REOPEN_PAUSE_MSEC);
  }
}

/* Clients can go on with what was opened?  What they were told stays true. */
static bool
is_same_disk(const struct generation *gen, const struct generation *fresh)
{
  return !fresh->export.readonly && fresh->export.size >= gen->export.size;
}

static void
close_fresh(struct generation *fresh)
{
  vhd_close(fresh->export.image, NULL);
  descriptors_drop_image(fresh->files.n);
  free(fresh->files.id);
  free(fresh->path);
}

/* Nobody gets this generation any more; who has it is cut off. */
static void
give_up(struct online *o, const struct vhd_error *why)
{
  struct generations *live = &o->catalog->live;

  log_error("export '%s': %s; its clients are cut off", o->order->export,
            why->message);
  pthread_mutex_lock(&live->lock);
  if (o->entry->current == o->gen)
    o->entry->current = NULL;
  generation_retire(o->gen); /* it has our reference */
  pthread_mutex_unlock(&live->lock);
  gate_break(&o->gen->export.gate);
}

/* The gate is closed, and is not any more afterwards. */
static int
change_closed(struct online *o, enum online_step what, struct vhd_error *err)
{
  struct generation *gen = o->gen;
  struct generation fresh = {
    .all = gen->all,
    .export.queue = gen->export.queue,
  };
  struct vhd_error why = { .code = 0 };

  int r = vhd_close(gen->export.image, err);
  gen->export.image = NULL;
  if (r < 0) { /* acknowledged bytes may be lost: that must not be forgotten */
    give_up(o, err);
    return r;
  }
  r = step(o, what, err);
  int reopened = reopen(o, &fresh, &why);
  if (reopened == 0 && !is_same_disk(gen, &fresh)) {
    close_fresh(&fresh);
    reopened =
      fail_argument(&why, "%s is not the disk that it was", o->found.path);
  }
  if (reopened < 0) {
    give_up(o, &why);
    if (r == 0)
      *err = why;
    return r < 0 ? r : reopened;
  }
  generation_replace(gen, &fresh);
  gate_open(&gen->export.gate);
  return r;
}

static int
change(struct online *o, enum online_step what, struct online_result *result,
       struct vhd_error *err)
{
  int r = flush(o, err);

  if (r < 0)
    return r;
  const uint64_t began = clock_ns();
  r = gate_close(&o->gen->export.gate, CLOSE_MSEC);
  if (r < 0)
    return fail_system(err, -r,
                       "export '%s': what its clients have asked for does not "
                       "come to an end",
                       o->order->export);
  r = change_closed(o, what, err);
  result->held_ns = clock_ns() - began;
  return r;
}

/* ------------------------------------------------------------------- orders */

static int
carry_out(struct online *o, struct online_result *result,
          struct vhd_error *err)
{
  static const enum online_step last[] = {
    [ONLINE_SNAPSHOT] = ONLINE_STEP_SNAPSHOT,
    [ONLINE_RESIZE] = ONLINE_STEP_RESIZE,
    [ONLINE_COMPACT] = ONLINE_STEP_COMPACT,
    [ONLINE_MERGE] = ONLINE_STEP_REBASE,
  };
  const enum online_what what = o->order->what;
  int r = 0;

  if (what == ONLINE_SNAPSHOT || what == ONLINE_RESIZE)
    r = step(o, ONLINE_STEP_LOOK, err);
  else if (what == ONLINE_MERGE)
    r = step(o, ONLINE_STEP_FLATTEN, err);
  return r < 0 ? r : change(o, last[what], result, err);
}

static void
log_result(const struct online *o, const struct online_result *result)
{
  static const char *const words[] = {
    [ONLINE_SNAPSHOT] = "has been frozen as",
    [ONLINE_RESIZE] = "has got another size",
    [ONLINE_COMPACT] = "has been compacted",
    [ONLINE_MERGE] = "stands on one image from now on,",
  };

  log_notice("export '%s' %s%s%s; its clients have waited for %u ms",
             o->order->export, words[o->order->what],
             o->order->name ? " " : "", o->order->name ? o->order->name : "",
             (unsigned)(result->held_ns / 1000000));
}

void
online_cancel(struct online *o)
{
  give_back(o);
}

void
online_run(struct online *o, struct online_result *result,
           struct vhd_error *err, void (*told)(void *opaque, int r),
           void *opaque)
{
  int r = 0;

  *result = (struct online_result){ .size = 0 };
  if (!occupy(o))
    r = refuse(err, o, "it has another image by now, or none");
  if (r == 0)
    r = check(o, err);
  if (r == 0)
    r = carry_out(o, result, err);
  result->size = o->gen->export.size;
  if (r == 0)
    log_result(o, result);
  told(opaque, r);
  give_back(o);
}
