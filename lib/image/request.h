/* SPDX-License-Identifier: BSD-2-Clause */
/* request.h: the machine's own part of a struct vhd_request, and what its
 * parts (reading, changing, committing) need of each other.
 *
 * A phase is a function.  It looks at the results of the I/Os it asked for
 * last, does what can be done without I/O, and returns
 *   VHD_STEP_IO      with req->io filled and the next phase set,
 *   VHD_STEP_PARKED  with the request on a list,
 *   VHD_STEP_DONE    with the next phase set to go on at once (STEP_NEXT), or
 *                    with the phase NULL and the result set. */
#ifndef IMAGE_REQUEST_H
#define IMAGE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bounds.h"
#include "image/image.h"
#include "vhdkit.h"

/* Go on with the next phase at once. */
#define STEP_NEXT VHD_STEP_DONE

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
  bool edge[2];         /* the first, last sector is to be completed */
  struct need need;     /* that it has reserved */
};

struct machine {
  phase_fn *phase;
  phase_fn *after;          /* where to go on after loading, growing... */
  struct vhd_request *next; /* list of the parked */
  const void *key;          /* what it waits for */
  uint64_t pos;             /* behind what is done or under way */
  bool pinned;
  bool changed;             /* it changed the mapping */
  uint32_t epoch;
  const struct layers *layers; /* while pinned: what it reads from */
  /* Loading a bitmap. */
  struct layer *load_layer;
  struct bitmap *load_bitmap;
  /* Changing. */
  struct piece piece[REQUEST_PIECES];
  unsigned npiece;
  unsigned edge_at;         /* which edge is being read */
  /* Committing. */
  phase_fn *after_commit;
  uint64_t commit_target;
  uint32_t commit_pos;
  int commit_result;
  int grow_result;
  uint8_t edge[2][VHD_SECTOR_SIZE];
};

_Static_assert(sizeof(struct machine) <= VHD_REQUEST_WORDS * sizeof(uint64_t),
               "struct vhd_request has no room for its machine");

static inline struct machine *
machine_of(struct vhd_request *req)
{
  return (struct machine *)req->machine;
}

/* Ends the request. */
enum vhd_step request_done(struct vhd_request *req, int result);
/* Goes on with another phase. */
enum vhd_step request_next(struct vhd_request *req, phase_fn *phase);
/* Has the I/Os carried out; then `phase` looks at the results. */
enum vhd_step request_io(struct vhd_request *req, phase_fn *phase);
/* The first error among the results of the last I/Os, or 0. */
int request_io_result(const struct vhd_request *req);

void request_add_io(struct vhd_request *req, struct vhd_file *file,
                    enum vhd_io_kind kind, uint64_t off, uint64_t len,
                    void *buf, unsigned flags);

/* Reads a block's bitmap into the layer's cache, then goes on with `after`,
 * which looks anew. */
enum vhd_step request_load(struct vhd_request *req, struct layer *layer,
                           uint32_t blk, phase_fn *after);

/* Parks until something reserved of the budget is released; the lock of the top
 * layer is held, and let go. */
enum vhd_step request_wait(struct vhd_request *req, struct budget *budget,
                           phase_fn *again);
/* Takes those that wait for any of what was released; under lock. */
struct vhd_request *request_budget_waiters(struct budgets *budgets,
                                           const struct need *released);

/* Parks on key in the layer; its lock is held, and let go. */
enum vhd_step request_park(struct vhd_request *req, struct layer *layer,
                           const void *key, phase_fn *again);
/* Wakes those that layer_unpark() took from a list; without locks held. */
void request_wake(struct vhd_request *list);

/* Makes everything done so far durable, then goes on with `after`. */
enum vhd_step request_commit(struct vhd_request *req, phase_fn *after);
/* The same for want of room: a commit is made even where all is durable. */
enum vhd_step request_make_room(struct vhd_request *req, phase_fn *after);

/* Pins the request to the image's epoch, so that the slots and the layers it
 * sees stay what they are.  Both may be called again. */
void request_pin(struct vhd_request *req);
void request_unpin(struct vhd_request *req);

/* Gives back the blocks that the request holds BUSY, their mapping as it
 * was. */
void change_abort(struct vhd_request *req);

/* Sees to it that there is a slot, then goes on with change_gather. */
phase_fn runway_grow;
/* Was it for want of space that an I/O failed? */
bool grow_lacks_space(int result);

/* First phases. */
phase_fn read_gather, map_gather, change_gather, fixed_change;

#endif
