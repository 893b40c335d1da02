/* SPDX-License-Identifier: BSD-2-Clause */
/* op.h: a request of a client while it is carried out.
 *
 *   op_new() --> the kind's begin: vhd_request_start(), op_run()
 *      op_run() steps the library's request: I/Os are tried at once, the rest
 *      goes to the engine; it comes back by itself when they are done or when
 *      the request is unparked; a commit that it leads is the engine's
 *   .finish(op) is called when the request is done, and puts the reply out;
 *      a plain one may have been sent by the thread that made it durable
 *   op_free()
 *
 * An op that finishes within its first op_run() costs no bookkeeping.  One
 * that does not is in flight: counted and charged to its client, which outlives
 * it. */
#ifndef SERVER_CLIENT_COMMAND_OP_H
#define SERVER_CLIENT_COMMAND_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/container.h"
#include "client/client.h"
#include "io/engine.h"
#include "nbd/transmission.h"
#include "vhdkit.h"

#define OP_RUNS 16

#define OP_OF(pointer, member) CONTAINER_OF(pointer, struct op, member)

struct op {
  struct op *next; /* of the spare ones */
  struct client *client;
  void (*finish)(struct op *op);
  struct nbd_request req;

  uint64_t began_ns;
  bool plain;    /* its answer says no more than that all went well */
  bool answered; /* that has been said */
  bool stepped;  /* .lead.step is what the last step of .vr gave */
  bool in_flight;
  bool pinned; /* vhd_request_end() is due */
  bool split;  /* READ: in chunks, one a run */
  uint8_t nio; /* READ: of .io */
  uint64_t charge;

  struct buf *input;    /* WRITE: a reference to where the data came in */
  struct buf *buf;      /* charged: data to be written or sent */
  uint64_t got;         /* bytes of the answer that are planned */
  unsigned char *reply; /* READ: where in .buf it begins */
  size_t reply_len;
  unsigned run;        /* READ: the next one to fill; STATUS: windows so far */
  unsigned missed;     /* READ: the run that was found not to be cached */
  unsigned char *fill; /* READ: where its data goes */
  unsigned pieces;     /* READ: of output that refer to this op */

  struct task woken;
  struct io_lead lead;
  struct io_work work; /* CACHE */
  struct task worked;
  struct io_batch batch;

  struct vhd_run runs[OP_RUNS];
  struct vhd_io io[VHD_REQUEST_IOS]; /* READ: what the engine reads */
  struct vhd_request vr;
};

/* NULL where memory is short. */
struct op *op_new(struct client *c, const struct nbd_request *req);
/* Gives back all that it has. */
void op_free(struct op *op);
/* For the end of a loop. */
void op_clear_spare(struct worker *worker);

/* Begins the library's request; -errno as vhd_request_start(). */
int op_start(struct op *op, enum vhd_op what, uint64_t off, uint64_t len,
             void *buf, uint32_t flags);
void op_run(struct op *op);
/* op_run(), but not now: for what would call itself again and again. */
void op_later(struct op *op);
/* Lets pinned runs go. */
void op_end(struct op *op);
/* It will not finish within this call. */
void op_suspend(struct op *op);
/* Submits .io[0 .. nio-1]; then .finish() is called. */
void op_submit(struct op *op, unsigned nio);

/* Answers and frees.  err: 0 or -errno. */
void op_answer(struct op *op, int err);

#endif
