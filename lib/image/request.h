/* SPDX-License-Identifier: BSD-2-Clause */
/* request.h: the machine's own part of a struct vhd_request, and what its
 * parts (reading, changing, committing) need of each other.
 *
 * request.c begins requests and knows all parts; read.c and change.c carry them
 * out; load.c, grow.c, commit.c and reclaim.c are detours, which know nothing
 * of those who take them; step.c is what all stand on.
 *
 * A phase is a function.  It looks at the results of the I/Os it asked for
 * last, does what can be done without I/O, and returns
 *   VHD_STEP_IO      with req->io filled and the next phase set,
 *   VHD_STEP_PARKED  with the request on a list,
 *   VHD_STEP_DONE    with the next phase set to go on at once (STEP_NEXT), or
 *                    with the phase NULL and the result set.
 *   STEP_BACK        with the next phase set, to go on when those who are ready
 *                    have had their turn.
 * A detour is called with the phase to go back to, and returns to it.  Parking
 * is none: who is parked has nothing to do but to look anew, so that the phase
 * that does is simply the next, and no way back need be kept. */
#ifndef IMAGE_REQUEST_H
#define IMAGE_REQUEST_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arith.h"
#include "base/bounds.h"
#include "image/image.h"
#include "image/map.h"
#include "image/waiters.h"
#include "vhdkit.h"

/* Go on with the next phase at once. */
#define STEP_NEXT VHD_STEP_DONE
/* For vhd_request_step(), which alone wakes the request that it steps. */
#define STEP_BACK ((enum vhd_step)(VHD_STEP_PARKED + 1))

/* So many detours may be taken out of each other. */
#define REQUEST_DEPTH 3

typedef enum vhd_step phase_fn(struct vhd_request *req);

enum piece_kind {
  PIECE_IN_PLACE, /* the mapping stays as it is */
  PIECE_ALLOCATE, /* the block gets a slot */
  PIECE_SET_BITS, /* more of its sectors are in this file */
  PIECE_FREE,     /* the block loses its slot */
};

/* What a write, zero or trim does to one block. */
struct piece {
  uint64_t off, len;    /* of the virtual disk */
  uint32_t blk;
  uint32_t slot;
  uint8_t kind;         /* enum piece_kind */
  bool punch_first;     /* the slot is dirty */
  bool secure;          /* its bitmap is to get its space */
  bool edge[2];         /* the first, last sector is to be completed */
  struct need need;     /* that it has reserved */
};

struct machine {
  struct waiter waiter;
  phase_fn *phase;
  phase_fn *back[REQUEST_DEPTH]; /* where the detours under way return to */
  /* From here to .clear_to it begins as zero. */
  /* Gives back what the request holds, should it end now; or NULL. */
  void (*release)(struct vhd_request *req);
  struct layers *held;      /* its runs are held (VHD_PIN) */
  int64_t begun;            /* its I/Os change the file: since when; or 0 */
  uint64_t change_end;      /* where they end that were added; or 0 */
  unsigned squeezed;        /* how often space was looked for in vain, when
                             * nobody else had any either */
  unsigned npiece;          /* of .piece */
  unsigned depth;           /* of .back */
  bool pinned;
  bool changed;             /* it changed the mapping */
  bool durable;             /* its bytes are, or are to be, by their writes */
  bool dated;               /* it wrote to the file for that */
  struct map_need need;     /* what the map lacks; looked at by this step */
  uint64_t clear_from, clear_to; /* there no ancestor holds data */
  uint64_t pos;             /* behind what is done or under way */
  unsigned nheld;           /* those that may lie in a slot */
  _Atomic uint32_t *hold;   /* nheld is 1: what counts it, if anything does */
  uint32_t epoch;
  struct layers *layers;    /* while pinned: what it reads from */
  struct vhd_run next_run;  /* for which there is no room in .runs */
  /* Loading a bitmap. */
  struct layer *load_layer;
  struct bitmap *load_bitmap;
  /* Changing. */
  struct piece piece[REQUEST_PIECES];
  /* Committing. */
  uint64_t commit_target;
  uint32_t commit_pos;
  /* Growing. */
  int grow_result;
  uint32_t given;           /* of the image's space when it last looked */
  /* Reclaiming. */
  struct left_slot left[RECLAIM_AT_ONCE];
  uint32_t left_epoch;      /* when the punches were asked for */
  uint8_t edge[2][VHD_SECTOR_SIZE];
};

_Static_assert(sizeof(struct machine) <= VHD_REQUEST_WORDS * sizeof(uint64_t),
               "struct vhd_request has no room for its machine");

static inline struct machine *
machine_of(struct vhd_request *req)
{
  return (struct machine *)req->machine;
}

/* Goes on with another phase. */
static inline enum vhd_step
request_next(struct vhd_request *req, phase_fn *phase)
{
  machine_of(req)->phase = phase;
  return STEP_NEXT;
}
/* Goes on with another phase, as if it had been parked and woken. */
static inline enum vhd_step
request_step_back(struct vhd_request *req, phase_fn *phase)
{
  machine_of(req)->phase = phase;
  return STEP_BACK;
}
/* The same, as it has looked at enough for now. */
static inline enum vhd_step
request_look_later(struct vhd_request *req, phase_fn *phase)
{
  REACHED(BOUND_LOOKS);
  machine_of(req)->need.looked = 0;
  return request_step_back(req, phase);
}
/* Takes a detour, which ends with request_return(), to `back`. */
enum vhd_step request_call(struct vhd_request *req, phase_fn *phase,
                           phase_fn *back);
enum vhd_step request_return(struct vhd_request *req);
/* Has the I/Os carried out; then `phase` looks at the results. */
static inline enum vhd_step
request_io(struct vhd_request *req, phase_fn *phase)
{
  struct machine *m = machine_of(req);

  assert(req->nio > 0);
  m->phase = phase;
  if (m->change_end > 0 && req->image->pulse)
    m->begun = journal_begin(req->image->pulse, m->change_end);
  m->change_end = 0;
  return VHD_STEP_IO;
}
/* The first error among the results of the last I/Os, or 0. */
static inline int
request_io_result(const struct vhd_request *req)
{
  for (unsigned i = 0; i < req->nio; i++)
    if (req->io[i].result < 0)
      return req->io[i].result;
  return 0;
}

static inline void
request_add_io(struct vhd_request *req, struct vhd_file *file,
               enum vhd_io_kind kind, uint64_t off, uint64_t len, void *buf,
               unsigned flags)
{
  struct machine *m = machine_of(req);

  assert(req->nio < VHD_REQUEST_IOS);
  if (kind != VHD_IO_READ && kind != VHD_IO_SYNC)
    m->change_end = MAX(m->change_end, off + len);
  req->io[req->nio++] = (struct vhd_io){
    .file = file, .fd = file->fd, .kind = (uint8_t)kind, .off = off,
    .len = len, .buf = buf, .flags = (uint8_t)flags,
  };
}

/* Reads a block's bitmap into the layer's cache; `back` looks anew. */
enum vhd_step request_load(struct vhd_request *req, struct layer *layer,
                           uint32_t blk, phase_fn *back);

/* Parks in a queue (waiters.h), then goes on with `again`.  The layer's lock,
 * which guards the queue, is held, and let go. */
enum vhd_step request_park(struct vhd_request *req, struct layer *layer,
                           struct waiters *queue, const void *key,
                           phase_fn *again);

/* Makes everything done so far durable, then goes on with `back`. */
enum vhd_step request_durable(struct vhd_request *req, phase_fn *back);
/* The same for want of room: a commit is made even where all is durable. */
enum vhd_step request_make_room(struct vhd_request *req, phase_fn *back);

/* Pins the request to the image's epoch, so that the slots and the layers it
 * sees stay what they are.  Both may be called again. */
static inline void
request_pin(struct vhd_request *req)
{
  struct machine *m = machine_of(req);

  if (m->pinned)
    return;
  m->epoch = image_pin(req->image);
  m->layers = atomic_load(&req->image->layers);
  m->pinned = true;
}
static inline void
request_unpin(struct vhd_request *req)
{
  struct machine *m = machine_of(req);

  if (!m->pinned)
    return;
  m->pinned = false;
  image_unpin(req->image, m->epoch);
}
/* Ends the request. */
static inline enum vhd_step
request_done(struct vhd_request *req, int result)
{
  struct machine *m = machine_of(req);

  if (m->release)
    m->release(req);
  req->result = result;
  m->phase = NULL;
  request_unpin(req);
  return VHD_STEP_DONE;
}
/* Waits until requests end that are pinned to a former epoch; the lock of the
 * top layer is held, and let go.  The request itself must not be pinned. */
enum vhd_step request_wait_epoch(struct vhd_request *req, phase_fn *again);

/* Detours.  Growing sees to it that there is a slot, or sets .grow_result;
 * reclaiming gives the space of a few slots back. */
phase_fn grow_begin, reclaim_begin;
/* Was it for want of space that an I/O failed, be it of space below the length
 * that the format or the file system allows to a file? */
static inline bool
request_lacks_space(int result)
{
  return result == -ENOSPC || result == -EDQUOT || result == -EFBIG;
}

/* Reclaims all there is to reclaim; blocks. */
int sync_reclaim(struct vhd_image *image);
/* Lengthens or cleans the runway, for who takes slots past all requests;
 * blocks. */
int sync_grow(struct vhd_image *image);

/* First phases. */
phase_fn read_gather, map_gather, change_begin, fixed_change, grow_alone;

#endif
