/* SPDX-License-Identifier: BSD-2-Clause */
/* reply.c: the replies that are not on the fast path.  See reply.h.  Pure; any
 * thread. */
#include "config.h"

#include "nbd/reply.h"

#include <assert.h>
#include <errno.h>

#include "nbd/text.h"

static_assert(NBD_REPLY_TEXT_MAX < NBD_TEXT_SIZE, "a text fits its buffer");

size_t
nbd_reply_hole(const struct nbd_session *s, const struct nbd_request *req,
               uint64_t off, uint32_t len, bool done, unsigned char *p)
{
  struct nbd_hole_payload hole = {
    .off = nbd_be64(off),
    .len = nbd_be32(len),
  };

  assert(nbd_reply_may_split(s, req) && len > 0);
  size_t n = nbd_put_chunk(s, p, req, done ? NBD_REPLY_FLAG_DONE : 0,
                           NBD_REPLY_TYPE_OFFSET_HOLE, sizeof hole);
  memcpy(p + n, &hole, sizeof hole);
  return n + sizeof hole;
}

/* An error chunk; at: NULL, or the offset that goes behind the text. */
static size_t
put_error(const struct nbd_session *s, const struct nbd_request *req,
          uint32_t error, const char *text, const uint64_t *at, bool done,
          unsigned char *p)
{
  char clean[NBD_REPLY_TEXT_MAX + 1];
  size_t text_len = nbd_text_clean(clean, sizeof clean, text ? text : "");
  struct nbd_error_payload e = {
    .error = nbd_be32(error),
    .text_len = nbd_be16((uint16_t)text_len),
  };
  struct nbd_be64 off = nbd_be64(at ? *at : 0);
  size_t len = sizeof e + text_len + (at ? sizeof off : 0);

  assert(error != NBD_SUCCESS);
  size_t n =
    nbd_put_chunk(s, p, req, done ? NBD_REPLY_FLAG_DONE : 0,
                  at ? NBD_REPLY_TYPE_ERROR_OFFSET : NBD_REPLY_TYPE_ERROR,
                  (uint32_t)len);
  memcpy(p + n, &e, sizeof e);
  memcpy(p + n + sizeof e, clean, text_len);
  if (at)
    memcpy(p + n + sizeof e + text_len, &off, sizeof off);
  return n + len;
}

size_t
nbd_reply_error(const struct nbd_session *s, const struct nbd_request *req,
                uint32_t error, const char *text, unsigned char *p)
{
  assert(error != NBD_SUCCESS);
  if (!s->structured)
    return nbd_put_simple(p, req, error);
  return put_error(s, req, error, text, NULL, true, p);
}

size_t
nbd_reply_error_at(const struct nbd_session *s, const struct nbd_request *req,
                   uint32_t error, uint64_t off, const char *text, bool done,
                   unsigned char *p)
{
  if (!s->structured) {
    assert(done);
    return nbd_reply_error(s, req, error, text, p);
  }
  return put_error(s, req, error, text, &off, done, p);
}

uint32_t
nbd_error_from_errno(const struct nbd_request *req, int err)
{
  switch (err < 0 ? -err : err) {
  case EPERM:
  case EACCES:
  case EROFS:
    return NBD_EPERM;
  case ENOMEM:
    return NBD_ENOMEM;
  case EINVAL:
    return NBD_EINVAL;
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
    return NBD_ENOSPC;
  case ESHUTDOWN:
    return NBD_ESHUTDOWN;
  case EOVERFLOW: /* says "ask for less", which only a read can follow */
    return req->type == NBD_CMD_READ ? NBD_EOVERFLOW : NBD_EIO;
  case ENOTSUP: /* says "not faster than writing", and nothing else */
    return req->flags & NBD_CMD_FLAG_FAST_ZERO ? NBD_ENOTSUP : NBD_EIO;
  default:
    return NBD_EIO;
  }
}
