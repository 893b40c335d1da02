/* SPDX-License-Identifier: BSD-2-Clause */
/* extents.h: the chunks that answer BLOCK_STATUS.
 *
 * One struct nbd_status writes one chunk for one context into memory of the
 * caller's.  Several may be fed from one walk over the map:
 *
 *   for each id in req->contexts: nbd_status_begin(&st[i], ...);
 *   for each run of the map, from req->off on:
 *     nbd_status_add(&st[i], run.len, nbd_context_flags(id, ...));
 *     stop when all returned false;
 *   n = nbd_status_end(&st[i], last);
 *
 * The rules are kept here: equal neighbours are merged, REQ_ONE gives one
 * extent no longer than asked, all but the last add up to less than asked, the
 * compact form never exceeds 32 bits, no chunk has more than 2^20 extents or
 * outgrows its memory, nothing reaches past the export's end.  What does not
 * fit is left out: an answer may be shorter than the question.
 *
 * Pure; any thread. */
#ifndef NBD_EXTENTS_H
#define NBD_EXTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nbd/reply.h"
#include "nbd/session.h"
#include "nbd/transmission.h"

/* Memory that a chunk of so many extents needs, in any form. */
#define NBD_STATUS_SIZE(extents) \
  (sizeof(struct nbd_extended_reply) + 8 + \
   (size_t)(extents) * sizeof(struct nbd_extent64))

struct nbd_status {
  const struct nbd_session *session;
  const struct nbd_request *req;
  unsigned char *buf;
  uint64_t asked;   /* what may be reported at all */
  uint64_t written; /* length of the extents written out */
  uint64_t len;     /* the extent being merged; 0: none yet */
  uint32_t flags;
  uint32_t count;
  uint32_t max; /* that fit */
  uint32_t id;
  bool full;
};

/* buf has cap bytes, at least NBD_STATUS_SIZE(1), and lasts until the end. */
void nbd_status_begin(struct nbd_status *st, const struct nbd_session *s,
                      const struct nbd_request *req, enum nbd_context id,
                      void *buf, size_t cap);

/* The next extent; len 0 adds nothing.  False: no more is wanted. */
bool nbd_status_add(struct nbd_status *st, uint64_t len, uint32_t flags);

/* Completes the chunk and returns its length; done: it is the last one of
 * this request.  0 if no extent was added: answer an error instead. */
size_t nbd_status_end(struct nbd_status *st, bool done);

/* What each context says of a run.
 *   base:allocation        HOLE and ZERO; a run that holds data anywhere in the
 *                          chain is neither
 *   qemu:allocation-depth  0 nobody holds it, 1 the image itself, 2 its parent
 *   x-vhdkit:depth         bits 0-15 which image decided: 0 the image itself, 1
 *                          its parent...; bit 16 it reads as zeros, bit 17
 *                          nobody holds it (the depth is then the deepest) */
enum nbd_depth_flag {
  NBD_DEPTH_MASK = 0xffff,
  NBD_DEPTH_ZERO = 1 << 16,
  NBD_DEPTH_HOLE = 1 << 17,
};

uint32_t nbd_context_flags(enum nbd_context id, bool hole, bool zero,
                           uint16_t depth);

/* "base:allocation"...; "unknown" for other ids. */
const char *nbd_context_name(uint32_t id);

#endif
