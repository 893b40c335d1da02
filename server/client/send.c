/* SPDX-License-Identifier: BSD-2-Clause */
/* send.c: what is to be sent to a client, in order: bytes in buffers and
 * ranges of files.  Small replies are put behind each other in one buffer, so
 * that many leave with one system call.  Owns .out and .out_len.  On the
 * thread of the connection's loop. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "client/connection.h"
#include "client/op.h"

/* Replies that follow each other share a buffer of this size. */
#define BATCH_SIZE ((size_t)256 << 10)
#define IOVS 32

static struct out *
piece_new(struct connection *conn)
{
  struct out *out = malloc(sizeof *out);
  if (!out)
    return NULL;
  *out = (struct out){ .fd = -1 };
  TAILQ_INSERT_TAIL(&conn->out, out, link);
  return out;
}

static void
piece_free_first(struct connection *conn)
{
  struct out *out = TAILQ_FIRST(&conn->out);

  TAILQ_REMOVE(&conn->out, out, link);
  if (out->buf)
    connection_put_buf(conn, out->buf);
  if (out->op)
    op_sent(out->op);
  free(out);
}

unsigned char *
output_reserve(struct connection *conn, size_t n)
{
  struct out *out = TAILQ_LAST(&conn->out, outs);

  if (out && out->room >= n)
    return out->at + out->len;

  const bool more = conn->batching || (out && out->buf);
  const size_t want = more && n < BATCH_SIZE ? BATCH_SIZE : n;
  struct buf *buf = connection_get_buf(conn, want);
  if (!buf)
    return NULL;
  out = piece_new(conn);
  if (!out) {
    connection_put_buf(conn, buf);
    return NULL;
  }
  out->buf = buf;
  out->at = buf_data(buf) - BUF_HEADROOM;
  out->room = buf_size(buf) + BUF_HEADROOM;
  return out->at;
}

void
output_commit(struct connection *conn, size_t n)
{
  struct out *out = TAILQ_LAST(&conn->out, outs);

  assert(out && out->room >= n);
  out->len += n;
  out->room -= n;
  conn->out_len += n;
}

bool
output_buf(struct connection *conn, struct buf *buf, unsigned char *at,
           size_t len)
{
  struct out *out = piece_new(conn);
  if (!out) {
    connection_put_buf(conn, buf);
    return false;
  }
  out->buf = buf;
  out->at = at;
  out->len = len;
  conn->out_len += len;
  return true;
}

bool
output_file(struct connection *conn, struct op *op, int fd, uint64_t off,
            size_t len)
{
  struct out *out = piece_new(conn);
  if (!out)
    return false;
  op->pieces++;
  out->op = op;
  out->fd = fd;
  out->off = off;
  out->len = len;
  conn->out_len += len;
  return true;
}

/* ---------------------------------------------------------------- sending */

static ssize_t
send_file(struct connection *conn, struct out *out)
{
  struct stream *s = conn->stream;
  const bool more = TAILQ_NEXT(out, link) != NULL;
  const ssize_t n = s->ops->sendfile(s, out->fd, out->off, out->len, more);

  if (n > 0) {
    out->off += (uint64_t)n;
    out->len -= (size_t)n;
    conn->out_len -= (size_t)n;
    if (out->len == 0)
      piece_free_first(conn);
  }
  return n;
}

static void
bytes_sent(struct connection *conn, size_t n)
{
  struct out *out;

  conn->out_len -= n;
  while ((out = TAILQ_FIRST(&conn->out)) != NULL && out->buf &&
         n >= out->len) {
    n -= out->len;
    piece_free_first(conn);
  }
  if (n > 0) {
    out->at += n;
    out->len -= n;
  }
}

static ssize_t
send_bytes(struct connection *conn)
{
  struct stream *s = conn->stream;
  struct iovec iov[IOVS];
  struct out *out;
  int n = 0;

  TAILQ_FOREACH(out, &conn->out, link) {
    if (!out->buf || n == IOVS)
      break;
    iov[n++] = (struct iovec){ .iov_base = out->at, .iov_len = out->len };
  }
  const ssize_t sent = s->ops->sendv(s, iov, n, out != NULL);
  if (sent > 0)
    bytes_sent(conn, (size_t)sent);
  return sent;
}

void
output_send(struct connection *conn)
{
  struct out *out;
  ssize_t n = 0;

  conn->blocked = false;
  while ((out = TAILQ_FIRST(&conn->out)) != NULL) {
    if (out->len == 0) {
      piece_free_first(conn);
      continue;
    }
    n = out->buf ? send_bytes(conn) : send_file(conn, out);
    if (n <= 0)
      break;
  }
  if (!out)
    return;
  if (n == -EAGAIN)
    conn->blocked = true;
  else
    connection_kill(conn);
}

void
output_clear(struct connection *conn)
{
  while (!TAILQ_EMPTY(&conn->out))
    piece_free_first(conn);
  conn->out_len = 0;
}
