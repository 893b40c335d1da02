/* SPDX-License-Identifier: BSD-2-Clause */
/* image.h: a disk, made of layers of which the one on top may be written; and
 * what goes on with it.
 *
 * What of this is not said to be constant or atomic is guarded by the lock of
 * the top layer, together with that layer's table. */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "image/commit.h"
#include "image/journal.h"
#include "image/layer.h"
#include "image/space.h"
#include "image/waiters.h"
#include "store/journal_file.h"
#include "vhdkit.h"

/* What a disk is made of, from the top down, and how long it is; never changes.
 * Each layer is a reference. */
struct layers {
  uint64_t size;            /* bounds requests */
  unsigned n;
  _Atomic uint32_t holds;   /* by clients that look at runs in them */
  struct layers *next;      /* of those that were exchanged for others: */
  uint32_t epoch;           /* in which that was */
  struct layer *layer[];
};

struct vhd_image {
  /* Owned.  A request that is pinned sees one list of layers to its end. */
  _Atomic(struct layers *) layers;
  struct layers *retired;   /* list through .next; under the top's lock */

  /* Constant after open. */
  struct layer *top;        /* the first of each list */
  bool child;               /* there is a layer below the top */
  bool writable;
  bool unlocked;            /* others may be writing to it */
  bool orphan;              /* opened without its parent: not to be read */
  bool write_through;       /* no journal: metadata is durable before the ack */

  /* The same disk without its top, made when somebody asks; owned. */
  _Atomic(struct vhd_image *) parent;

  /* Requests in flight by the parity of the epoch they began in (P4). */
  _Atomic uint32_t epoch;
  _Atomic uint32_t inflight[2];
  _Atomic bool epoch_awaited; /* there is somebody in: */
  struct waiters epoch_waiting; /* for the former epoch to be left by all */

  _Atomic bool background; /* there is something to reclaim */

  /* How many data-changing I/Os were ever completed. */
  _Atomic uint64_t write_seq;
  _Atomic uint64_t size;    /* of the layers there are now */
  _Atomic int failed; /* -errno of a failed sync: nothing can be promised */

  struct space space;
  struct commit commit;
  struct journal *journal;
  struct journal *pulse;            /* the one that is told of each change of
                                     * the file: the same, once replayed */
  struct journal_file journal_file; /* what the journal lies in, if a file */
};

/* Reads and validates the file and takes it over, also on failure.  flags:
 * enum vhd_open_flags.  Blocks. */
int image_new(struct vhd_file *file, uint32_t flags, struct vhd_image **image,
              struct vhd_error *err);

/* An image of one layer, whose reference it takes over, also on failure; NULL
 * where there is no memory. */
struct vhd_image *image_of_layer(struct layer *top, bool writable);

/* Puts a differencing image upon its parent, which it takes over, also on
 * failure.  0 or -ENOMEM. */
int image_set_parent(struct vhd_image *img, struct vhd_image *parent);

/* Puts the top upon these n layers instead of those below it now, of which it
 * takes references of its own: they must read the same.  An image with layers
 * below its top keeps some.  Requests that are under way end with the layers
 * that they began with.  0 or -ENOMEM. */
int image_exchange(struct vhd_image *img, struct layer *const *lower,
                   unsigned n);
/* Lets go of former layers that no request looks at any more.  True: there are
 * none left. */
bool image_settle(struct vhd_image *img);

/* Frees the image; nothing is written.  NULL is none. */
void image_free(struct vhd_image *img);

/* Is there a layer below the top? */
static inline bool
image_is_child(const struct vhd_image *img)
{
  return img->child;
}

/* ----------------------------------------------------------------- epochs */

/* A request that may look at slots, or at layers, is pinned to the epoch in
 * which it began; what was freed in epoch e is free of onlookers from e + 2
 * on. */
static inline uint32_t
image_pin(struct vhd_image *img)
{
  for (;;) {
    uint32_t epoch = atomic_load(&img->epoch);
    atomic_fetch_add(&img->inflight[epoch & 1], 1);
    if (atomic_load(&img->epoch) == epoch)
      return epoch;
    atomic_fetch_sub(&img->inflight[epoch & 1], 1);
  }
}
/* Wakes those who wait for an epoch to be left; without the top's lock. */
void image_wake_epoch(struct vhd_image *img);
static inline void
image_unpin(struct vhd_image *img, uint32_t epoch)
{
  uint32_t before = atomic_fetch_sub(&img->inflight[epoch & 1], 1);

  assert(before > 0);
  /* Whoever waits looks anew, also if others are left: one that tried to pin
   * itself to an epoch that was over has made no noise about it. */
  if (atomic_load(&img->epoch_awaited))
    image_wake_epoch(img);
}
/* Goes on to the next epoch if nobody is left in the one before; under the
 * top's lock. */
void image_try_advance(struct vhd_image *img);

#endif
