/* SPDX-License-Identifier: BSD-2-Clause */
/* generation.h: an image that is open under a name.  A name has another
 * generation when it leads to another file, or has been closed meanwhile.
 *
 *   (opened) --> OPEN --> CLOSING --> (freed)
 *
 *  1. All generations of a server stand in one list from their opening until
 *     they are closed; .lock guards the list, states and counts.  It is held
 *     over no I/O.
 *  2. struct export is constant.  Each generation has a queue of its own, so
 *     that its descriptors mean the same as long as its queue lives.
 *  3. What does not stay is closed when the last reference goes; what stays is
 *     flushed then, and closed by generations_close().
 *  4. A close waits for no flush: there is none where one may begin; what is
 *     retired during a flush is closed at the end of that. */
#ifndef SERVER_CATALOG_GENERATION_H
#define SERVER_CATALOG_GENERATION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/usage.h"
#include "disk/gate.h"
#include "io/engine.h"
#include "vhdkit.h"

struct generation;

/* An export that is open.  Constant while anybody holds a reference, but that
 * who has closed the gate may put another image of the same disk into it. */
/* clang-format off */
struct export {
  const char *name;        /* canonical */
  const char *description; /* or NULL; lives as long as the configuration */
  struct vhd_image *image;
  struct io_queue *queue;
  struct usages *usages; /* where clients count what they do */
  const char *note; /* for clients, why it is read-only; a literal, or NULL */
  uint64_t size;
  bool readonly;
  bool tls_only;
  struct gate gate;
};
/* clang-format on */

/* A file, whatever its name. */
struct file_id {
  uint64_t device, inode;
};

static inline bool
file_id_same(const struct file_id *a, const struct file_id *b)
{
  return a->inode == b->inode && a->device == b->device;
}

/* The files of an image's chain: its own first. */
struct file_ids {
  struct file_id *id;
  unsigned n;
};

/* All that are open. */
struct generations {
  pthread_mutex_t lock;
  pthread_cond_t changed; /* monotonic: something was closed, left, flushed */
  TAILQ_HEAD(, generation) all;
  unsigned nclosing;
  int close_error; /* the first that could not be closed well */
  struct vhd_error close_err;
  /* Under the lock: nobody has a reference to it any more.  It may be given one
   * again as long as .stays.  NULL: nobody cares. */
  void (*left)(struct generation *gen);
};

struct generation {
  struct export export; /* first */
  TAILQ_ENTRY(generation) link;
  struct generations *all;
  void *owner; /* .left()'s; NULL: new clients get another one */
  char *name;
  char *path; /* that it was opened by; NULL: memory was short */
  struct file_ids files;
  struct usages usages;
  bool stays;
  bool old; /* the name led elsewhere before all had left */
  bool closing;
  unsigned refs;
  unsigned reclaims; /* of .refs, those that are nobody's who has come */
  struct io_work close;
  struct io_work flush;
  bool flushing, flush_again;
  struct io_work reclaim; /* has a reference while it is under way */
  atomic_bool reclaiming;
};

void generations_init(struct generations *all);
void generations_destroy(struct generations *all);

/* A generation for an image that its creator is about to open, into
 * .export.image; not in the list yet.  NULL where memory is short. */
struct generation *generation_new(struct generations *all, const char *name);
/* Not in the list.  NULL is fine. */
void generation_free(struct generation *gen);
/* It is open: into the list.  The lock is held, until it has a reference or
 * stays. */
void generation_add(struct generation *gen);

/* The lock is held.  Waits until no generation is being closed whose chain has
 * this file in it: its locks would refuse an open.  Whether it had to wait. */
bool generations_wait_closing(struct generations *all,
                              const struct file_id *file);
/* The lock is held.  The same for those that have the file open for
 * writing. */
bool generations_wait_writer(struct generations *all,
                             const struct file_id *file);
/* The lock is held.  One that has this very file open, or NULL. */
struct generation *generations_find(struct generations *all,
                                    const struct file_id *file);

/* The lock is held.  Closes what nobody uses and nobody flushes, on a thread of
 * its queue: the returned work is to be given to that queue without the lock,
 * at once. */
struct io_work *generation_begin_close(struct generation *gen);

/* The lock is held.  New clients get another one, or none: it is closed as soon
 * as nobody uses it.  Returns what generation_begin_close() does if that is
 * now, else NULL. */
struct io_work *generation_retire(struct generation *gen);

/* Whoever has closed its gate has another image of the same disk, which
 * image_open() has put into `fresh`: it takes the place of the former, which is
 * closed. */
void generation_replace(struct generation *gen, struct generation *fresh);

/* Any thread.  When the last one goes, what was written is made durable. */
void export_unref(struct export *export);

/* export_reclaim(), where there is something. */
void export_start_reclaim(struct export *export);
/* Any thread, with a reference; cheap.  Starts giving back the space that
 * blocks have left, if there is any and that is not under way: on a thread of
 * the export's queue, one hole after the other, for no client. */
static inline void
export_reclaim(struct export *export)
{
  if (vhd_has_background(export->image))
    export_start_reclaim(export);
}

#endif
