/* SPDX-License-Identifier: BSD-2-Clause */
/* transmission.h: requests of the transmission phase: bytes to a checked struct
 * nbd_request.
 *
 * All that can be said about a request from its header, the session and the
 * export's size is said here, so its owner either carries it out or answers
 * .verdict; nothing else needs checking.  Replies: nbd/reply.h, extents:
 * nbd/extents.h.
 *
 * The owner's loop:
 *   used = nbd_parse_request(session, bytes, n, &req);
 *     0: needs more bytes (NBD_REQUEST_HEADER_MAX always suffice);
 *     < 0: close, silently; > 0: so long is the header;
 *   req.payload_len bytes follow:
 *     - with .verdict set: throw them away, then answer .verdict;
 *     - of a WRITE: the data;
 *     - of a BLOCK_STATUS: at most NBD_STATUS_PAYLOAD_MAX bytes, to be given
 *       to nbd_parse_status_payload();
 *   DISC: no reply; finish what is in flight, close.
 *   RESIZE or unknown types never come without a verdict.
 *
 * Pure; any thread. */
#ifndef NBD_TRANSMISSION_H
#define NBD_TRANSMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "nbd/protocol.h"
#include "nbd/session.h"

#define NBD_REQUEST_HEADER_MAX sizeof(struct nbd_extended_request_header)
#define NBD_STATUS_PAYLOAD_MAX (8 + 4 * NBD_NCONTEXTS)

struct nbd_request {
  unsigned char cookie[8]; /* opaque */
  uint64_t off;            /* as sent: replies repeat it */
  uint64_t len;            /* what the command is about */
  const char *text;        /* with a verdict: why, for a person */
  uint32_t payload_len;    /* bytes behind the header; may reach 4 GiB where
                            * they are only to be drained */
  uint16_t type;           /* enum nbd_cmd */
  uint16_t flags;          /* enum nbd_cmd_flag */
  uint16_t verdict;        /* 0, or the enum nbd_error to answer */
  uint8_t contexts;        /* BLOCK_STATUS: which to report */
};

/* Why a connection must be closed. */
enum nbd_request_fault {
  NBD_REQUEST_BAD_MAGIC = -1,
  NBD_REQUEST_OVERSIZED = -2, /* a payload nobody may send */
};

/* A WRITE that does not say that its data follow, as it must with extended
 * headers.  They do follow. */
static inline bool
nbd_request_unannounced(const struct nbd_session *s,
                        const struct nbd_request *req)
{
  return s->extended && req->type == NBD_CMD_WRITE &&
         !(req->flags & NBD_CMD_FLAG_PAYLOAD_LEN);
}

/* The general case of nbd_parse_request(). */
int nbd_parse_request_general(const struct nbd_session *s,
                              const unsigned char *bytes, size_t n,
                              struct nbd_request *req);

/* BLOCK_STATUS with a payload, once all its req->payload_len bytes are there:
 * completes req, or sets req->verdict. */
void nbd_parse_status_payload(const struct nbd_session *s, const void *payload,
                              struct nbd_request *req);

/* Returns the header's length, 0 or an enum nbd_request_fault. */
static inline int
nbd_parse_request(const struct nbd_session *s, const unsigned char *bytes,
                  size_t n, struct nbd_request *req)
{
  /* A plain read or write inside the export is most of what ever comes. */
  if (n >= sizeof(struct nbd_request_header) && !s->extended && !s->shutdown &&
      s->min_block == 1) {
    struct nbd_request_header h;
    memcpy(&h, bytes, sizeof h);
    uint64_t off = nbd_get64(h.off);
    uint32_t len = nbd_get32(h.len);
    uint16_t type = nbd_get16(h.type);
    bool write = type == NBD_CMD_WRITE && !(s->flags & NBD_FLAG_READ_ONLY);
    if (nbd_get32(h.magic) == NBD_REQUEST_MAGIC && nbd_get16(h.flags) == 0 &&
        (type == NBD_CMD_READ || write) && len <= s->max_payload &&
        off <= s->size && len <= s->size - off) {
      memcpy(req->cookie, h.cookie, sizeof req->cookie);
      req->off = off;
      req->len = len;
      req->text = NULL;
      req->payload_len = write ? len : 0;
      req->type = type;
      req->flags = 0;
      req->verdict = 0;
      req->contexts = 0;
      return sizeof h;
    }
  }
  return nbd_parse_request_general(s, bytes, n, req);
}

#endif
