/* SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS as a stream; see stream.h.
 *
 * OpenSSL reads and writes through a BIO of ours, so that system calls come in
 * batches:
 *
 * - In: OpenSSL reads ahead as much as its buffer holds.  A recv() that brought
 *   less than was asked for has emptied the socket, so within one call of ours
 *   there is no second one just to hear EAGAIN ("dry").  Nor is there a third
 *   one that no data has come of: a client that sends nothing but messages of
 *   TLS itself (key updates, say) must not keep the loop to itself.
 * - Out: records are collected in .out, and sent together.
 *
 * Invariants:
 * 1. .out exists only while it holds bytes.  An idle stream has no buffers.
 * 2. Nothing is encrypted while .out holds bytes of an earlier call: a client
 *    that does not read costs one batch.
 * 3. The caller is never told that all its bytes are sent while .out still
 *    holds some, for it would then not wait to send again.  The plaintext of
 *    the last record (.owed bytes) is kept back, and is reported once .out is
 *    empty; the caller offers it again until then, and it is skipped.
 */
#include "config.h"

#include "net/tls/stream.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "net/socket.h"
#include "net/stream.h"
#include "net/tls/context.h"

#define RECORD 16384
#define BATCH 5 /* records: 64 KiB of data, and the header before them */
#define RECORD_OVERHEAD 512 /* more than any suite of ours adds */
#define OUT_SIZE (BATCH * (RECORD + RECORD_OVERHEAD))
#define IDENTITY_SIZE 256
#define RECVS 2 /* a record may lie across two */
#define TRIM_MIN 64

/* What is known only while the handshake lasts. */
struct handshake {
  struct tls_claim claim;
  char peer[SOCKET_NAME_SIZE]; /* a dead socket does not tell any more */
};

struct tls_stream {
  struct stream stream;
  SSL *ssl;
  struct tls_credentials *credentials;
  struct handshake *handshake; /* NULL: it is over */
  char *identity;          /* NULL: nobody */
  unsigned char *out;
  unsigned out_off, out_len; /* bytes of .out yet to be sent */
  unsigned owed;
  unsigned recvs; /* since data has come */
  int broken; /* -errno of the socket */
  bool dry;
  bool ended;   /* the peer closed the socket */
  bool starved; /* OpenSSL has asked for more than the socket has */
  bool over;    /* the end, or what is wrong, lies behind what was received */
};

static atomic_uint streams; /* that there are */

static struct tls_stream *
tls_of(struct stream *s)
{
  return (struct tls_stream *) s;
}

/* --------------------------------------------------- below OpenSSL: the BIO */

/* Sends what is in .out.  0 when it is empty, -EAGAIN, or -errno. */
static int
out_flush(struct tls_stream *t, bool more)
{
  while (t->out_len > 0) {
    ssize_t n = send(t->stream.fd, t->out + t->out_off, t->out_len,
                     MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0));
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    }
    t->out_off += (unsigned) n;
    t->out_len -= (unsigned) n;
  }
  free(t->out);
  t->out = NULL;
  t->out_off = 0;
  return 0;
}

static int
bio_write(BIO *bio, const char *data, int len)
{
  struct tls_stream *t = BIO_get_data(bio);

  BIO_clear_retry_flags(bio);
  if (t->out == NULL) {
    t->out = malloc(OUT_SIZE);
    if (t->out == NULL) {
      t->broken = -ENOMEM;
      return -1;
    }
  }
  unsigned used = t->out_off + t->out_len;
  if (used == OUT_SIZE) {
    /* Only a handshake with very long certificates comes here. */
    int r = out_flush(t, true);
    if (r < 0) {
      if (r == -EAGAIN) {
        BIO_set_retry_write(bio);
      } else {
        t->broken = r;
      }
      return -1;
    }
    return bio_write(bio, data, len);
  }
  int n = (unsigned) len < OUT_SIZE - used ? len : (int) (OUT_SIZE - used);
  memcpy(t->out + used, data, (size_t) n);
  t->out_len += (unsigned) n;
  return n;
}

static int
bio_read(BIO *bio, char *buf, int len)
{
  struct tls_stream *t = BIO_get_data(bio);
  ssize_t n;

  BIO_clear_retry_flags(bio);
  if (t->dry || t->recvs == RECVS) {
    t->dry = true;
    BIO_set_retry_read(bio);
    return -1;
  }
  t->recvs++;
  do {
    n = recv(t->stream.fd, buf, (size_t) len, MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n == 0) {
    t->ended = true;
  } else if (n > 0) {
    t->dry = n < len;
  } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
    t->dry = true;
    BIO_set_retry_read(bio);
  } else {
    t->broken = -errno;
  }
  return (int) n;
}

static long
bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
  const struct tls_stream *t = BIO_get_data(bio);

  (void) number;
  (void) pointer;
  switch (command) {
  case BIO_CTRL_FLUSH:
    return 1; /* we do that ourselves, when OpenSSL has returned */
  case BIO_CTRL_EOF:
    return t->ended;
  default:
    return 0;
  }
}

static BIO_METHOD *bio_method;

static void
make_bio_method(void)
{
  BIO_METHOD *method =
    BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "vhdkitd socket");
  if (method != NULL) {
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
    bio_method = method;
  }
}

/* ----------------------------------------------------------------- identity */

/* The common name, or the first alternative name of a kind that is text.  A
 * name with a zero byte in it is none. */
static bool
certificate_name(X509 *cert, char *buf, size_t size)
{
  const X509_NAME *subject = X509_get_subject_name(cert);
  int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  bool found = false;

  if (i >= 0) {
    const ASN1_STRING *data =
      X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i));
    unsigned char *text;
    int len = ASN1_STRING_to_UTF8(&text, data);
    if (len >= 0) {
      found = len > 0 && (size_t) len < size &&
              strlen((char *) text) == (size_t) len;
      if (found) {
        memcpy(buf, text, (size_t) len + 1);
      }
      OPENSSL_free(text);
      return found;
    }
  }
  GENERAL_NAMES *names =
    X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  for (i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
    int type;
    const ASN1_STRING *data =
      GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
    if (type == GEN_DNS || type == GEN_EMAIL || type == GEN_URI) {
      size_t len = (size_t) ASN1_STRING_length(data);
      const unsigned char *text = ASN1_STRING_get0_data(data);
      found = len > 0 && len < size && memchr(text, '\0', len) == NULL;
      if (found) {
        memcpy(buf, text, len);
        buf[len] = '\0';
      }
    }
  }
  GENERAL_NAMES_free(names);
  return found;
}

/* A pre-shared key was used, not only named, if the handshake counts as the
 * continuation of a session, or, in TLS 1.2, by the suite. */
static bool
used_psk(const SSL *ssl)
{
  return SSL_version(ssl) >= TLS1_3_VERSION
           ? SSL_session_reused(ssl)
           : SSL_get_psk_identity(ssl) != NULL;
}

static char *
find_identity(const struct tls_stream *t)
{
  char name[IDENTITY_SIZE], *identity = NULL;

  if (used_psk(t->ssl)) {
    const char *claimed = t->handshake->claim.identity;
    if (claimed[0] != '\0' && asprintf(&identity, "psk:%s", claimed) < 0) {
      identity = NULL;
    }
    return identity;
  }
  X509 *cert = SSL_get0_peer_certificate(t->ssl);
  if (cert != NULL && SSL_get_verify_result(t->ssl) == X509_V_OK &&
      certificate_name(cert, name, sizeof name) &&
      asprintf(&identity, "x509:%s", name) < 0) {
    identity = NULL;
  }
  return identity;
}

/* ---------------------------------------------------------------- handshake */

static void
log_failure(struct tls_stream *t)
{
  static struct log_limit limit;
  char reason[256];
  long verified = SSL_get_verify_result(t->ssl);

  if (!log_limit_pass(&limit)) {
    return;
  }
  if (verified != X509_V_OK) {
    snprintf(reason, sizeof reason, "the client's certificate: %s",
             X509_verify_cert_error_string(verified));
  } else if (t->broken != 0) {
    snprintf(reason, sizeof reason, "%s", strerror(-t->broken));
  } else if (t->ended || ERR_peek_error() == 0) {
    /* In order, with a close_notify: OpenSSL calls that no error. */
    snprintf(reason, sizeof reason, "the client hung up");
  } else {
    tls_reason(reason, sizeof reason);
  }
  log_notice("TLS handshake with %s failed: %s", t->handshake->peer, reason);
}

/* A handshake takes up and gives back large pieces of memory, between which
 * small ones stay: a heap full of holes.  Their pages go back to the system,
 * each time that the streams have become an eighth more. */
static void
trim_heap(void)
{
  static atomic_uint made;

  unsigned due = atomic_load(&streams) / 8;
  if (atomic_fetch_add(&made, 1) + 1 >= (due > TRIM_MIN ? due : TRIM_MIN)) {
    atomic_store(&made, 0);
    malloc_trim(0);
  }
}

static void
established(struct tls_stream *t)
{
  t->identity = find_identity(t);
  log_debug("TLS with %s: %s, %s, %s", t->handshake->peer,
            SSL_get_version(t->ssl), SSL_get_cipher_name(t->ssl),
            t->identity != NULL ? t->identity : "nobody in particular");
  free(t->handshake);
  t->handshake = NULL;
  SSL_set_app_data(t->ssl, NULL);
  t->stream.recv_want = POLLIN;
  trim_heap();
}

static int
tls_handshake(struct stream *s)
{
  struct tls_stream *t = tls_of(s);

  if (t->handshake == NULL) {
    return 0;
  }
  s->recv_want = POLLOUT;
  int sent = out_flush(t, false);
  if (sent < 0) {
    return sent;
  }
  t->dry = false;
  t->recvs = 0;
  ERR_clear_error();
  int r = SSL_do_handshake(t->ssl);
  int error = SSL_get_error(t->ssl, r);
  if (r != 1 && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
    log_failure(t);
    out_flush(t, false); /* the alert, which tells the client why */
    ERR_clear_error();
    return t->broken != 0 ? t->broken : -EPROTO;
  }
  sent = out_flush(t, false);
  if (sent < 0) {
    return sent;
  }
  if (r == 1) {
    established(t);
    return 0;
  }
  s->recv_want = error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
  return -EAGAIN;
}

/* --------------------------------------------------------------------- data */

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
    int n = SSL_read(t->ssl, (char *) buf + total,
                     rest < INT_MAX ? (int) rest : INT_MAX);
    if (n <= 0) {
      error = SSL_get_error(t->ssl, n);
      break;
    }
    total += (size_t) n;
  }
  t->starved = error == SSL_ERROR_WANT_READ;
  t->over = error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ &&
            error != SSL_ERROR_WANT_WRITE;
  /* An answer that TLS itself has to give goes when it can. */
  out_flush(t, false);
  if (total > 0) {
    /* What went wrong behind it will again: .over makes that be asked for,
     * though the socket may have nothing more to announce. */
    return (ssize_t) total;
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

/* The next up to RECORD bytes, in place where they lie together, else gathered
 * in buf; the cursor moves behind them. */
static const unsigned char *
cursor_take(struct cursor *c, unsigned char *buf, size_t *len)
{
  *len = 0;
  while (c->n > 0 && *len < RECORD) {
    const unsigned char *base = c->iov->iov_base;
    size_t there = c->iov->iov_len - c->off;
    size_t n = there < RECORD - *len ? there : RECORD - *len;
    const unsigned char *here = base + c->off;
    bool in_place = *len == 0 && (there >= RECORD || c->n == 1);
    if (n > 0 && !in_place) {
      memcpy(buf + *len, here, n);
    }
    *len += n;
    cursor_skip(c, n);
    if (in_place) {
      return here;
    }
  }
  return buf;
}

/* Encrypts one record's worth.  Its length, 0 at the end, or -errno. */
static ssize_t
encrypt_record(struct tls_stream *t, struct cursor *c)
{
  unsigned char buf[RECORD];
  size_t len;
  const unsigned char *data = cursor_take(c, buf, &len);

  if (len == 0) {
    return 0;
  }
  int n = SSL_write(t->ssl, data, (int) len);
  /* .out has room for a batch, so there is no reason to wait or stop short. */
  if (n != (int) len) {
    ERR_clear_error();
    return t->broken != 0 ? t->broken : -EPROTO;
  }
  return n;
}

static ssize_t
tls_sendv(struct stream *s, const struct iovec *iov, int n, bool more)
{
  struct tls_stream *t = tls_of(s);
  struct cursor c = {.iov = iov, .n = n};
  size_t total = t->owed;
  ssize_t last = 0;

  int r = out_flush(t, more);
  if (r < 0) {
    return r;
  }
  cursor_skip(&c, t->owed);
  t->owed = 0;
  ERR_clear_error();
  for (int i = 0; i < BATCH; i++) {
    ssize_t len = encrypt_record(t, &c);
    if (len <= 0) {
      r = (int) len;
      break;
    }
    last = len;
    total += (size_t) len;
  }
  if (r == 0) {
    r = out_flush(t, more || c.n > 0);
  }
  if (r == -EAGAIN) {
    t->owed = (unsigned) last;
    total -= t->owed;
    return total > 0 ? (ssize_t) total : -EAGAIN;
  }
  return r < 0 ? r : (ssize_t) total;
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

  int r = out_flush(t, true);
  if (r == 0 && t->handshake == NULL && t->broken == 0 &&
      !(SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN)) {
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
    r = out_flush(t, false);
  }
  return r;
}

static const char *
tls_identity(struct stream *s)
{
  return tls_of(s)->identity;
}

/* ---------------------------------------------------------- begin and end */

static void
tls_free(struct stream *s)
{
  struct tls_stream *t = tls_of(s);

  atomic_fetch_sub(&streams, 1);
  SSL_free(t->ssl);
  tls_credentials_unref(t->credentials);
  free(t->handshake);
  free(t->identity);
  free(t->out);
  if (s->fd >= 0) {
    close(s->fd);
  }
  free(t);
}

static const struct stream_ops tls_ops = {
  .handshake = tls_handshake,
  .recv = tls_recv,
  .sendv = tls_sendv,
  .pending = tls_pending,
  .finish = tls_finish,
  .identity = tls_identity,
  .free = tls_free,
};

static bool
attach(struct tls_stream *t, struct tls_context *context, int fd)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once(&once, make_bio_method);
  t->credentials = tls_context_credentials(context);
  t->handshake = calloc(1, sizeof *t->handshake);
  if (t->handshake == NULL || bio_method == NULL) {
    return false;
  }
  socket_peer_name(fd, t->handshake->peer, sizeof t->handshake->peer);
  t->ssl = tls_credentials_session(t->credentials, &t->handshake->claim);
  BIO *bio = t->ssl != NULL ? BIO_new(bio_method) : NULL;
  if (bio == NULL) {
    return false;
  }
  BIO_set_data(bio, t);
  BIO_set_init(bio, 1);
  SSL_set_bio(t->ssl, bio, bio);
  return true;
}

struct stream *
tls_stream_new(struct tls_context *context, int fd)
{
  struct tls_stream *t = calloc(1, sizeof *t);

  if (t == NULL) {
    return NULL;
  }
  atomic_fetch_add(&streams, 1);
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
  if (flags >= 0 && !(flags & O_NONBLOCK)) {
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  }
  t->stream.fd = fd;
  return &t->stream;
}
