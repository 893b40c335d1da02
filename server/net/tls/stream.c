/* SPDX-License-Identifier: BSD-2-Clause */
/* stream.c: TLS as a stream; see stream.h, and stream_state.h for its parts. */
#include "config.h"

#include "net/tls/stream.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/tls/bio.h"
#include "net/tls/context.h"
#include "net/tls/credentials.h"
#include "net/tls/handshake.h"
#include "net/tls/stream_state.h"

static ssize_t
tls_recv(struct stream *s, void *buf, size_t len)
{
  struct tls_stream *t = tls_of(s);
  size_t total = 0;
  int error = SSL_ERROR_NONE;

  t->dry = t->starved = false;
  ERR_clear_error();
  while (total < len) {
    size_t rest = len - total;
    t->recvs = 0;
    int n = SSL_read(t->ssl, (char *)buf + total,
                     rest < INT_MAX ? (int)rest : INT_MAX);
    if (n <= 0) {
      error = SSL_get_error(t->ssl, n);
      break;
    }
    total += (size_t)n;
  }
  t->starved = error == SSL_ERROR_WANT_READ;
  t->over = error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ &&
            error != SSL_ERROR_WANT_WRITE;
  /* An answer that TLS itself has to give goes when it can. */
  tls_bio_flush(t, false);
  if (total > 0) {
    /* What went wrong behind it will again: .over makes that be asked for,
     * though the socket may have nothing more to announce. */
    return (ssize_t)total;
  }
  switch (error) {
  case SSL_ERROR_NONE: /* len was 0 */
  case SSL_ERROR_ZERO_RETURN:
    return 0;
  case SSL_ERROR_WANT_READ:
    s->recv_want = POLLIN;
    return -EAGAIN;
  case SSL_ERROR_WANT_WRITE:
    s->recv_want = POLLOUT;
    return -EAGAIN;
  default:
    ERR_clear_error();
    return t->broken != 0 ? t->broken : -EPROTO;
  }
}

/* Where the next byte of an iovec comes from. */
struct cursor {
  const struct iovec *iov;
  int n;
  size_t off; /* within iov[0] */
};

/* Stops at the end of the iovec, or at a byte that is there. */
static void
cursor_skip(struct cursor *c, size_t len)
{
  while (c->n > 0 && len >= c->iov->iov_len - c->off) {
    len -= c->iov->iov_len - c->off;
    c->iov++;
    c->n--;
    c->off = 0;
  }
  assert(len == 0 || c->n > 0);
  c->off += len;
}

/* The next up to TLS_RECORD bytes, in place where they lie together, else
 * gathered in buf; the cursor moves behind them. */
static const unsigned char *
cursor_take(struct cursor *c, unsigned char *buf, size_t *len)
{
  *len = 0;
  while (c->n > 0 && *len < TLS_RECORD) {
    const unsigned char *base = c->iov->iov_base;
    size_t there = c->iov->iov_len - c->off;
    size_t n = there < TLS_RECORD - *len ? there : TLS_RECORD - *len;
    const unsigned char *here = base + c->off;
    bool in_place = *len == 0 && (there >= TLS_RECORD || c->n == 1);
    if (n > 0 && !in_place)
      memcpy(buf + *len, here, n);
    *len += n;
    cursor_skip(c, n);
    if (in_place)
      return here;
  }
  return buf;
}

/* Encrypts one record's worth.  Its length, 0 at the end, or -errno. */
static ssize_t
encrypt_record(struct tls_stream *t, struct cursor *c)
{
  unsigned char buf[TLS_RECORD];
  size_t len;
  const unsigned char *data = cursor_take(c, buf, &len);

  if (len == 0)
    return 0;
  int n = SSL_write(t->ssl, data, (int)len);
  /* .out has room for a batch, so there is no reason to wait or stop short. */
  if (n != (int)len) {
    ERR_clear_error();
    return t->broken != 0 ? t->broken : -EPROTO;
  }
  return n;
}

static ssize_t
tls_sendv(struct stream *s, const struct iovec *iov, int n, bool more)
{
  struct tls_stream *t = tls_of(s);
  struct cursor c = { .iov = iov, .n = n };
  size_t total = t->owed;
  ssize_t last = 0;

  int r = tls_bio_flush(t, more);
  if (r < 0)
    return r;
  cursor_skip(&c, t->owed);
  t->owed = 0;
  ERR_clear_error();
  for (int i = 0; i < TLS_BATCH; i++) {
    ssize_t len = encrypt_record(t, &c);
    if (len <= 0) {
      r = (int)len;
      break;
    }
    last = len;
    total += (size_t)len;
  }
  if (r == 0)
    r = tls_bio_flush(t, more || c.n > 0);
  if (r == -EAGAIN) {
    t->owed = (unsigned)last;
    total -= t->owed;
    return total > 0 ? (ssize_t)total : -EAGAIN;
  }
  return r < 0 ? r : (ssize_t)total;
}

static bool
tls_pending(struct stream *s)
{
  struct tls_stream *t = tls_of(s);
  return t->over || (!t->starved && SSL_has_pending(t->ssl));
}

static int
tls_finish(struct stream *s)
{
  struct tls_stream *t = tls_of(s);

  int r = tls_bio_flush(t, true);
  if (r == 0 && !t->handshake && t->broken == 0 &&
      !(SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN)) {
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
    r = tls_bio_flush(t, false);
  }
  return r;
}

static const char *
tls_identity(struct stream *s)
{
  return tls_of(s)->identity;
}

static const char *
tls_issuer(struct stream *s)
{
  return tls_of(s)->issuer;
}

/* ---------------------------------------------------------- begin and end */

static void
tls_free(struct stream *s)
{
  struct tls_stream *t = tls_of(s);

  tls_handshake_count(-1);
  SSL_free(t->ssl);
  tls_credentials_unref(t->credentials);
  free(t->handshake);
  free(t->identity);
  free(t->issuer);
  free(t->out);
  if (s->fd >= 0)
    close(s->fd);
  free(t);
}

static const struct stream_ops tls_ops = {
  .handshake = tls_handshake,
  .recv = tls_recv,
  .sendv = tls_sendv,
  .pending = tls_pending,
  .finish = tls_finish,
  .identity = tls_identity,
  .issuer = tls_issuer,
  .free = tls_free,
};

static bool
attach(struct tls_stream *t, struct tls_context *context, int fd)
{
  t->credentials = tls_context_credentials(context);
  t->handshake = calloc(1, sizeof *t->handshake);
  if (!t->handshake || !t->credentials)
    return false;
  socket_peer_name(fd, t->handshake->peer, sizeof t->handshake->peer);
  t->ssl = tls_credentials_session(t->credentials, &t->handshake->claim);
  return t->ssl != NULL && tls_bio_attach(t);
}

struct stream *
tls_stream_new(struct tls_context *context, int fd)
{
  struct tls_stream *t = calloc(1, sizeof *t);

  if (!t)
    return NULL;
  tls_handshake_count(1);
  t->stream = (struct stream){
    .ops = &tls_ops,
    .fd = -1,
    .recv_want = POLLIN,
    .send_want = POLLOUT,
  };
  if (!attach(t, context, fd)) {
    tls_free(&t->stream);
    return NULL;
  }
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0 && !(flags & O_NONBLOCK))
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  t->stream.fd = fd;
  return &t->stream;
}
