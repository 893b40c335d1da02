/* SPDX-License-Identifier: BSD-2-Clause */
/* reply.h: replies of the transmission phase, written into memory of the
 * caller's.  Each function picks the form that was negotiated (simple,
 * structured, extended), so that nobody else needs to know it, and returns how
 * many bytes it wrote: at most NBD_REPLY_MAX, NBD_REPLY_ERROR_MAX for the
 * errors.
 *
 * How to answer:
 *   READ      nbd_reply_data() then the bytes, nbd_reply_hole(), in any number
 *             and order where nbd_reply_may_split(); else one nbd_reply_data()
 *             for the whole request with zeros spelled out.  The last one with
 *             done=true, if nothing can fail any more; otherwise
 *             nbd_reply_ok() or nbd_reply_error() ends it.  A READ of no bytes
 *             is nbd_reply_ok() alone.  Where !nbd_reply_may_fail_late(), an
 *             error after nbd_reply_data() leaves nothing but to close.
 *   BLOCK_STATUS  nbd/extents.h, one chunk for each of req->contexts.
 *   others    nbd_reply_ok() or nbd_reply_error().
 *
 * Pure; any thread. */
#ifndef NBD_REPLY_H
#define NBD_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "nbd/protocol.h"
#include "nbd/session.h"
#include "nbd/transmission.h"

/* Header and fixed part of any chunk. */
#define NBD_REPLY_MAX \
  (sizeof(struct nbd_extended_reply) + sizeof(struct nbd_hole_payload))
/* Longest text in an error chunk. */
#define NBD_REPLY_TEXT_MAX 240
#define NBD_REPLY_ERROR_MAX \
  (sizeof(struct nbd_extended_reply) + sizeof(struct nbd_error_payload) + \
   NBD_REPLY_TEXT_MAX + sizeof(struct nbd_be64))

/* May a READ be answered in several chunks, with holes? */
static inline bool
nbd_reply_may_split(const struct nbd_session *s, const struct nbd_request *req)
{
  return s->structured && !(req->flags & NBD_CMD_FLAG_DF);
}

/* Can an error still be told after nbd_reply_data()? */
static inline bool
nbd_reply_may_fail_late(const struct nbd_session *s)
{
  return s->structured;
}

static inline size_t
nbd_put_simple(unsigned char *p, const struct nbd_request *req, uint32_t error)
{
  struct nbd_simple_reply h;
  h.magic = nbd_be32(NBD_SIMPLE_REPLY_MAGIC);
  h.error = nbd_be32(error);
  memcpy(h.cookie, req->cookie, sizeof h.cookie);
  memcpy(p, &h, sizeof h);
  return sizeof h;
}

/* The header of a structured or extended chunk with len bytes of payload. */
static inline size_t
nbd_put_chunk(const struct nbd_session *s, unsigned char *p,
              const struct nbd_request *req, uint16_t flags, uint16_t type,
              uint32_t len)
{
  if (s->extended) {
    struct nbd_extended_reply h;
    h.magic = nbd_be32(NBD_EXTENDED_REPLY_MAGIC);
    h.flags = nbd_be16(flags);
    h.type = nbd_be16(type);
    memcpy(h.cookie, req->cookie, sizeof h.cookie);
    h.off = nbd_be64(req->off);
    h.len = nbd_be64(len);
    memcpy(p, &h, sizeof h);
    return sizeof h;
  }
  struct nbd_structured_reply h;
  h.magic = nbd_be32(NBD_STRUCTURED_REPLY_MAGIC);
  h.flags = nbd_be16(flags);
  h.type = nbd_be16(type);
  memcpy(h.cookie, req->cookie, sizeof h.cookie);
  h.len = nbd_be32(len);
  memcpy(p, &h, sizeof h);
  return sizeof h;
}

/* Done, well, and nothing more to tell. */
static inline size_t
nbd_reply_ok(const struct nbd_session *s, const struct nbd_request *req,
             unsigned char *p)
{
  if (!s->structured || (!s->extended && req->type != NBD_CMD_READ))
    return nbd_put_simple(p, req, NBD_SUCCESS);
  return nbd_put_chunk(s, p, req, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_NONE, 0);
}

/* What precedes len (> 0) bytes of a READ that lie at off of the export. */
static inline size_t
nbd_reply_data(const struct nbd_session *s, const struct nbd_request *req,
               uint64_t off, uint32_t len, bool done, unsigned char *p)
{
  if (!s->structured)
    return nbd_put_simple(p, req, NBD_SUCCESS);
  struct nbd_be64 at = nbd_be64(off);
  size_t n = nbd_put_chunk(s, p, req, done ? NBD_REPLY_FLAG_DONE : 0,
                           NBD_REPLY_TYPE_OFFSET_DATA,
                           len + (uint32_t)sizeof at);
  memcpy(p + n, &at, sizeof at);
  return n + sizeof at;
}

/* len (> 0) bytes at off read as zeros; only where nbd_reply_may_split(). */
size_t nbd_reply_hole(const struct nbd_session *s,
                      const struct nbd_request *req, uint64_t off,
                      uint32_t len, bool done, unsigned char *p);

/* The last chunk of a failed request.  text: NULL, or for a person; cut at
 * NBD_REPLY_TEXT_MAX; only structured clients see it.  To answer a verdict:
 * nbd_reply_error(s, req, req->verdict, req->text, p). */
size_t nbd_reply_error(const struct nbd_session *s,
                       const struct nbd_request *req, uint32_t error,
                       const char *text, unsigned char *p);

/* The same, saying where in the request's range; simple replies do not. */
size_t nbd_reply_error_at(const struct nbd_session *s,
                          const struct nbd_request *req, uint32_t error,
                          uint64_t off, const char *text, bool done,
                          unsigned char *p);

/* The wire's error for a (positive or negative) errno that a request of this
 * kind failed with. */
uint32_t nbd_error_from_errno(const struct nbd_request *req, int err);

#endif
