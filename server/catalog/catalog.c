/* SPDX-License-Identifier: BSD-2-Clause */
/* catalog.c: see catalog.h; what opens an image is in open.c.
 *
 * An entry's life:
 *
 *   CLOSED --get--> OPENING --> OPEN --last unref, of a folder--> CLOSING
 *      ^               | failed                                      |
 *      +---------------+<--------------------------------------------+
 *
 *  1. Entries are found, made and forgotten under .lock, and so are their state
 *     and counts changed; vhd_open() and vhd_close() are called without it.
 *  2. Only one work of an entry (open or close) is under way, and only in
 *     OPENING and CLOSING.  Besides it there may be one flush, which a close
 *     waits for.
 *  3. Who asks meanwhile waits in .waiters; when a close ends and somebody
 *     waits, the entry is opened again.
 *  4. An entry of a folder that is CLOSED without waiters and looks is freed.
 *  5. The fields of struct export change only in OPENING: nobody has a
 *     reference then.
 *  6. Looks at an image that is not OPEN are besides all this: they take no
 *     lock, neither of the image nor of the entry, and share nothing with an
 *     open of it. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "catalog/catalog.h"
#include "base/error.h"
#include "base/log.h"
#include "catalog/entry.h"
#include "config/server_config.h"

/* ----------------------------------------------------------------- entries */

static void
refuse(struct export_ticket *ticket, enum export_refusal why, const char *text)
{
  ticket->refusal = why;
  ticket->export = NULL;
  snprintf(ticket->text, sizeof ticket->text, "%s", text);
  loop_post(ticket->loop, &ticket->done);
}

static struct entry *
entry_new(struct exports *exports, const char *name)
{
  struct entry *entry = calloc(1, sizeof *entry);
  if (!entry)
    return NULL;
  entry->exports = exports;
  entry->name = strdup(name);
  entry->export.name = entry->name;
  entry->export.queue = io_queue_new();
  STAILQ_INIT(&entry->waiters);
  if (entry->name && entry->export.queue) {
    HASH_ADD_KEYPTR(hh, exports->entries, entry->name, strlen(entry->name),
                    entry);
    if (entry->hh.tbl)
      return entry;
  }
  io_queue_free(entry->export.queue);
  free(entry->name);
  free(entry);
  return NULL;
}

/* The lock is held. */
static void
entry_free(struct entry *entry)
{
  assert(entry->refs == 0 && entry->looks == 0 &&
         STAILQ_EMPTY(&entry->waiters));
  HASH_DEL(entry->exports->entries, entry);
  io_queue_free(entry->export.queue);
  free(entry->name);
  free(entry);
}

/* The lock is held. */
static void
forget_unused(struct entry *entry)
{
  if (!entry->path && entry->state == CLOSED && entry->looks == 0 &&
      STAILQ_EMPTY(&entry->waiters))
    entry_free(entry);
}

/* The lock is held, and the entry is OPEN. */
static void
tell_facts(const struct entry *entry, struct export_ticket *ticket)
{
  ticket->facts = (struct export_facts){
    .description = entry->export.description,
    .size = entry->export.size,
    .readonly = entry->export.readonly,
    .tls_only = entry->export.tls_only,
  };
  ticket->refusal = EXPORT_FINE;
  loop_post(ticket->loop, &ticket->done);
}

/* The lock is held; takes the reference for each who waits. */
static void
tell_open(struct entry *entry)
{
  struct export_ticket *ticket;

  entry->state = OPEN;
  while ((ticket = STAILQ_FIRST(&entry->waiters)) != NULL) {
    STAILQ_REMOVE_HEAD(&entry->waiters, link);
    entry->refs++;
    ticket->export = &entry->export;
    tell_facts(entry, ticket);
  }
}

static void
tell_refused(struct entry *entry, enum export_refusal why, const char *text)
{
  struct export_ticket *ticket;

  entry->state = CLOSED;
  while ((ticket = STAILQ_FIRST(&entry->waiters)) != NULL) {
    STAILQ_REMOVE_HEAD(&entry->waiters, link);
    refuse(ticket, why, text);
  }
  forget_unused(entry);
}

static const char unknown[] = "there is no export of that name";

/* Why an image could not be opened or looked at: for the log, and into text
 * for the client. */
static enum export_refusal
explain(const struct entry *entry, const char *path, int r,
        const struct vhd_error *err, char *text)
{
  static struct log_limit limit;

  if (r == -ENOENT && err->code != VHD_PARENT_MISSING) {
    snprintf(text, EXPORT_TEXT_MAX, "%s", unknown);
    return EXPORT_UNKNOWN;
  }
  if (log_limit_pass(&limit))
    log_warning("export '%s': %s", entry->name, err->message);
  copy_without_folders(text, EXPORT_TEXT_MAX, err->message, path);
  return err->code == VHD_BUSY ? EXPORT_BUSY : EXPORT_BROKEN;
}

/* On a thread of the entry's queue. */
static void
run_open(struct io_work *work)
{
  struct entry *entry =
    (struct entry *)((char *)work - offsetof(struct entry, work));
  struct exports *exports = entry->exports;
  char path[PATH_MAX], text[EXPORT_TEXT_MAX];
  struct vhd_error err = { .code = 0 };
  enum export_refusal why = EXPORT_FINE;
  int r = -ENOENT;

  if (entry_find_path(entry, path))
    r = entry_open_image(entry, path, &err);
  if (r < 0)
    why = explain(entry, path, r, &err, text);

  pthread_mutex_lock(&exports->lock);
  if (r == 0)
    tell_open(entry);
  else
    tell_refused(entry, why, text);
  pthread_cond_broadcast(&exports->changed);
  pthread_mutex_unlock(&exports->lock);
}

/* On a thread of the entry's queue. */
static void
run_close(struct io_work *work)
{
  struct entry *entry =
    (struct entry *)((char *)work - offsetof(struct entry, work));
  struct exports *exports = entry->exports;
  struct vhd_error err = { .code = 0 };

  const int r = vhd_close(entry->export.image, &err);
  entry->export.image = NULL;
  if (r < 0)
    log_error("export '%s': %s", entry->name, err.message);

  pthread_mutex_lock(&exports->lock);
  entry->close_error = r;
  entry->close_err = err;
  const bool again = !STAILQ_EMPTY(&entry->waiters);
  entry->state = again ? OPENING : CLOSED;
  forget_unused(entry);
  pthread_cond_broadcast(&exports->changed);
  pthread_mutex_unlock(&exports->lock);
  if (again)
    run_open(work);
}

/* The lock is held; the work is to be run without it. */
static struct io_work *
begin_close(struct entry *entry)
{
  assert(entry->state == OPEN && entry->refs == 0);
  entry->state = CLOSING;
  entry->work.run = run_close;
  return &entry->work;
}

/* On a thread of the entry's queue: the last client of an image that stays
 * open has gone. */
static void
run_flush(struct io_work *work)
{
  struct entry *entry =
    (struct entry *)((char *)work - offsetof(struct entry, flush));
  struct exports *exports = entry->exports;

  for (;;) {
    const int r = vhd_flush(entry->export.image);
    if (r < 0)
      log_error("export '%s': cannot make it durable: %s", entry->name,
                strerror(-r));
    pthread_mutex_lock(&exports->lock);
    const bool again = entry->flush_again;
    entry->flush_again = false;
    if (!again) {
      entry->flushing = false;
      pthread_cond_broadcast(&exports->changed);
    }
    pthread_mutex_unlock(&exports->lock);
    if (!again)
      return;
  }
}

/* ------------------------------------------------------------------ looking */

/* On a thread of the entry's queue. */
static void
run_look(struct io_work *work)
{
  struct export_ticket *ticket =
    (struct export_ticket *)((char *)work -
                             offsetof(struct export_ticket, work));
  struct entry *entry = ticket->entry;
  struct exports *exports = entry->exports;
  struct vhd_error err = { .code = 0 };
  char path[PATH_MAX];
  int r = -ENOENT;

  if (entry_find_path(entry, path))
    r = ticket->want == EXPORT_EXISTS
          ? 0
          : entry_look(entry, path, &ticket->facts, &err);
  ticket->refusal =
    r < 0 ? explain(entry, path, r, &err, ticket->text) : EXPORT_FINE;

  pthread_mutex_lock(&exports->lock);
  entry->looks--;
  loop_post(ticket->loop, &ticket->done);
  forget_unused(entry);
  pthread_cond_broadcast(&exports->changed);
  pthread_mutex_unlock(&exports->lock);
}

bool
exports_can_show(struct exports *exports, const char *name)
{
  static struct log_limit limit;
  struct entry look = { .exports = exports, .name = (char *)name };
  struct export_facts facts;
  struct vhd_error err;
  struct entry *entry;
  char path[PATH_MAX];

  pthread_mutex_lock(&exports->lock);
  HASH_FIND_STR(exports->entries, name, entry);
  const bool open = entry && entry->state == OPEN;
  pthread_mutex_unlock(&exports->lock);
  if (open)
    return true;
  if (!entry_find_path(&look, path))
    return false;
  const int r = entry_look(&look, path, &facts, &err);
  if (r < 0 && log_limit_pass(&limit))
    log_warning("export '%s' is not listed: %s", name, err.message);
  return r == 0;
}

/* --------------------------------------------------------- getting, giving */

static bool
name_is_sane(const char *name)
{
  return name[0] != '\0' && name[0] != '.' && !strchr(name, '/') &&
         strlen(name) <= NAME_MAX - 4;
}

void
exports_get(struct exports *exports, const char *name, bool tls,
            struct export_ticket *ticket)
{
  struct io_work *work = NULL;
  struct entry *entry;

  if (name[0] == '/')
    name++;
  pthread_mutex_lock(&exports->lock);
  HASH_FIND_STR(exports->entries, name, entry);
  if (!entry && exports->config->directory && name_is_sane(name)) {
    entry = entry_new(exports, name);
    if (entry)
      entry->want_readonly = exports->config->readonly;
  }
  if (!tls && (entry ? entry->export.tls_only : exports->hides)) {
    refuse(ticket, EXPORT_TLS_ONLY,
           "there is no export of that name without TLS");
  } else if (!entry) {
    refuse(ticket, EXPORT_UNKNOWN, unknown);
  } else if (ticket->want != EXPORT_OPENED) {
    if (entry->state == OPEN) {
      tell_facts(entry, ticket);
    } else {
      entry->looks++;
      ticket->entry = entry;
      ticket->work.run = run_look;
      work = &ticket->work;
    }
  } else {
    STAILQ_INSERT_TAIL(&entry->waiters, ticket, link);
    if (entry->state == OPEN) {
      tell_open(entry);
    } else if (entry->state == CLOSED) {
      entry->state = OPENING;
      entry->work.run = run_open;
      work = &entry->work;
    }
  }
  pthread_mutex_unlock(&exports->lock);
  if (work)
    io_queue_run(entry->export.queue, work);
}

/* The lock is held: the last client of an image that stays open has gone. */
static struct io_work *
begin_flush(struct entry *entry)
{
  if (entry->flushing) {
    entry->flush_again = true;
    return NULL;
  }
  entry->flushing = true;
  entry->flush.run = run_flush;
  return &entry->flush;
}

void
export_unref(struct exports *exports, struct export *export)
{
  struct entry *entry = (struct entry *)export;
  struct io_queue *queue = export->queue;
  struct io_work *work = NULL;

  pthread_mutex_lock(&exports->lock);
  assert(entry->refs > 0 && entry->state == OPEN);
  if (--entry->refs == 0) {
    if (!entry->path)
      work = begin_close(entry);
    else if (!export->readonly)
      work = begin_flush(entry);
    pthread_cond_broadcast(&exports->changed);
  }
  pthread_mutex_unlock(&exports->lock);
  if (work)
    io_queue_run(queue, work);
}

/* -------------------------------------------------------------- reclaiming */

/* A hole that is being punched locks the file: the loops are to know. */
static void
perform_watched(struct entry *entry, struct vhd_io *io)
{
  struct io_batch batch = { .queue = entry->export.queue };
  struct io_job job = { .batch = &batch, .io = io };

  io_watch_begin(&job);
  vhd_io_perform(io);
  io_watch_end(&job);
}

/* What a step needs done; such a request never waits for another one. */
static void
reclaim_some(struct entry *entry)
{
  struct vhd_request req;

  if (vhd_request_start(&req, entry->export.image, VHD_RECLAIM, 0, 0, NULL,
                        0) < 0)
    return;
  while (vhd_request_step(&req) == VHD_STEP_IO)
    for (unsigned i = 0; i < req.nio; i++)
      perform_watched(entry, &req.io[i]);
}

/* On a thread of the entry's queue. */
static void
run_reclaim(struct io_work *work)
{
  struct entry *entry =
    (struct entry *)((char *)work - offsetof(struct entry, reclaim));

  do {
    while (vhd_has_background(entry->export.image))
      reclaim_some(entry);
    atomic_store(&entry->reclaiming, false);
  } while (vhd_has_background(entry->export.image) &&
           !atomic_exchange(&entry->reclaiming, true));
  export_unref(entry->exports, &entry->export);
}

void
export_start_reclaim(struct exports *exports, struct export *export)
{
  struct entry *entry = (struct entry *)export;

  if (atomic_exchange(&entry->reclaiming, true))
    return;
  pthread_mutex_lock(&exports->lock);
  entry->refs++;
  pthread_mutex_unlock(&exports->lock);
  entry->reclaim.run = run_reclaim;
  io_queue_run(export->queue, &entry->reclaim);
}

/* ------------------------------------------------------------ start, end */

static int
add_named(struct exports *exports, const struct server_export *named,
          struct vhd_error *err)
{
  struct entry *entry;

  HASH_FIND_STR(exports->entries, named->name, entry);
  if (entry)
    return fail_argument(err, "the export '%s' is named twice", named->name);
  entry = entry_new(exports, named->name);
  if (!entry)
    return fail_system(err, ENOMEM, "export '%s'", named->name);
  entry->path = named->path;
  entry->want_readonly = named->readonly || exports->config->readonly;
  entry->raw = named->raw;
  entry->export.description = named->description;
  entry->export.tls_only = named->tls_only;
  exports->hides |= named->tls_only;
  return 0;
}

int
exports_new(const struct server_config *config, struct exports **out,
            struct vhd_error *err)
{
  struct exports *exports = calloc(1, sizeof *exports);
  pthread_condattr_t attr;

  if (!exports)
    return fail_system(err, ENOMEM, "exports");
  exports->config = config;
  pthread_mutex_init(&exports->lock, NULL);
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&exports->changed, &attr);
  pthread_condattr_destroy(&attr);
  int r = 0;
  for (size_t i = 0; i < config->nexports && r == 0; i++)
    r = add_named(exports, &config->exports[i], err);
  if (r < 0) {
    exports_free(exports);
    return r;
  }
  *out = exports;
  return 0;
}

/* The lock is held.  Nothing is under way and nobody has a reference? */
static bool
all_settled(struct exports *exports, bool closed)
{
  struct entry *entry, *next;

  HASH_ITER(hh, exports->entries, entry, next)
    if (entry->refs > 0 || entry->looks > 0 || entry->flushing ||
        entry->state == OPENING ||
        entry->state == CLOSING || (closed && entry->state != CLOSED))
      return false;
  return true;
}

static bool
wait_settled(struct exports *exports, bool closed,
             const struct timespec *until)
{
  int r = 0;

  while (!all_settled(exports, closed) && r == 0)
    r = pthread_cond_timedwait(&exports->changed, &exports->lock, until);
  return all_settled(exports, closed);
}

/* One more image that nobody uses, to be closed; NULL: none. */
static struct entry *
next_to_close(struct exports *exports)
{
  struct entry *entry, *next, *found = NULL;

  pthread_mutex_lock(&exports->lock);
  HASH_ITER(hh, exports->entries, entry, next)
    if (entry->state == OPEN && entry->refs == 0 && !entry->flushing) {
      begin_close(entry);
      found = entry;
      break;
    }
  pthread_mutex_unlock(&exports->lock);
  return found;
}

int
exports_close(struct exports *exports, unsigned seconds,
              struct vhd_error *err)
{
  struct entry *entry, *next;
  struct timespec until;
  int result = 0;

  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += seconds;
  pthread_mutex_lock(&exports->lock);
  wait_settled(exports, false, &until);
  pthread_mutex_unlock(&exports->lock);
  while ((entry = next_to_close(exports)) != NULL)
    io_queue_run(entry->export.queue, &entry->work);

  pthread_mutex_lock(&exports->lock);
  const bool good = wait_settled(exports, true, &until);
  HASH_ITER(hh, exports->entries, entry, next)
    if (entry->close_error < 0 && result == 0) {
      result = entry->close_error;
      *err = entry->close_err;
    }
  pthread_mutex_unlock(&exports->lock);
  if (!good && result == 0)
    result = fail_system(err, ETIMEDOUT,
                         "not all images could be closed in time");
  return result;
}

void
exports_free(struct exports *exports)
{
  struct entry *entry, *next;

  if (!exports)
    return;
  pthread_mutex_lock(&exports->lock);
  HASH_ITER(hh, exports->entries, entry, next) {
    if (entry->export.image) /* server_start() has failed half-way */
      vhd_close(entry->export.image, NULL);
    entry_free(entry);
  }
  pthread_mutex_unlock(&exports->lock);
  pthread_cond_destroy(&exports->changed);
  pthread_mutex_destroy(&exports->lock);
  free(exports);
}
