/* SPDX-License-Identifier: BSD-2-Clause */
/* plan.h: what a change comes to in one block, and how it is published.
 *
 * A piece that changes the mapping of its block holds it BUSY from
 * change_plan() to change_publish() or change_abort(): nobody else changes that
 * block's mapping meanwhile, while reads and in-place writes go on.  It has
 * reserved all that publishing takes.
 *
 * Invariants:
 *   1. The mapping changes in memory only in change_publish(), after the data
 *      are written; what a reader can see is there.
 *   2. What the disk will be told of it is in the journal by then, so that an
 *      acknowledged change outlives the process. */
#ifndef IMAGE_PLAN_H
#define IMAGE_PLAN_H

#include <string.h>

#include "base/arith.h"
#include "image/map.h"
#include "image/request.h"

enum decision {
  PIECE,   /* the piece is planned, and its block held if need be */
  NOTHING, /* there is nothing to do for it, or it has been done */
  STOP,    /* it must begin a batch of its own */
  LOAD,    /* a bitmap is needed: *need */
  WAIT,    /* the block is held: wait for it */
  CROWDED, /* the bitmap cache is in use: wait for it */
  UNDATED, /* bytes of the file must be changed first: see date_file() */
  NO_ROOM, /* a budget has no room for it: commit, or wait for others */
  LONG,    /* enough has been looked at for one step */
  GROW,    /* no slot is to be had: lengthen the runway first */
};

/* change_plan(), where more than bytes may change. */
enum decision change_plan_mapping(struct vhd_request *req, struct piece *p,
                                  struct map_need *need);
/* Plans the piece at the request's position.  No lock is held before or after;
 * what hinders may be gone by the time the caller looks. */
static inline enum decision
change_plan(struct vhd_request *req, struct piece *p, struct map_need *need)
{
  struct layer *top = req->image->top;
  uint64_t pos = machine_of(req)->pos, bs = 1ULL << top->block_shift;
  uint8_t state;

  memset(p, 0, sizeof *p);
  p->off = pos;
  p->len = MIN(req->off + req->len - pos, bs - (pos & (bs - 1)));
  p->blk = (uint32_t)(pos >> top->block_shift);
  p->kind = PIECE_IN_PLACE;

  /* Mostly the block is there, whole, and nothing but bytes changes. */
  p->slot = layer_peek(top, p->blk, &state);
  if (req->op == VHD_WRITE && p->slot != NO_SLOT &&
      summary_of(state) == BITS_ALL)
    return PIECE;
  return change_plan_mapping(req, p, need);
}

/* Lets the blocks of all pieces go, their mapping changed; or as it was. */
void change_publish(struct vhd_request *req);
void change_abort(struct vhd_request *req);

#endif
