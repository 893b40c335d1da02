/* SPDX-License-Identifier: BSD-2-Clause */
/* bio.c: the BIO of ours; see bio.h.  System calls come in batches:
 *
 * - In: OpenSSL reads ahead as much as its buffer holds.  A recv() that brought
 *   less than was asked for has emptied the socket, so within one call of ours
 *   there is no second one just to hear EAGAIN ("dry").  Nor is there a third
 *   one that no data has come of: a client that sends nothing but messages of
 *   TLS itself (key updates, say) must not keep the loop to itself.
 * - Out: records are collected in .out, and sent together. */
#include "config.h"

#include "net/tls/bio.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/tls/stream_state.h"

#define RECORD_OVERHEAD 512 /* more than any suite of ours adds */
#define OUT_SIZE (TLS_BATCH * (TLS_RECORD + RECORD_OVERHEAD))
#define RECVS 2 /* a record may lie across two */

int
tls_bio_flush(struct tls_stream *t, bool more)
{
  while (t->out_len > 0) {
    ssize_t n = send(t->stream.fd, t->out + t->out_off, t->out_len,
                     MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0));
    if (n < 0) {
      if (errno == EINTR)
        continue;
      return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    }
    t->out_off += (unsigned)n;
    t->out_len -= (unsigned)n;
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
  if (t->handshake)
    t->handshake->answered = true;
  if (!t->out) {
    t->out = malloc(OUT_SIZE);
    if (!t->out) {
      t->broken = -ENOMEM;
      return -1;
    }
  }
  unsigned used = t->out_off + t->out_len;
  if (used == OUT_SIZE) {
    /* Only a handshake with very long certificates comes here. */
    int r = tls_bio_flush(t, true);
    if (r < 0) {
      if (r == -EAGAIN)
        BIO_set_retry_write(bio);
      else
        t->broken = r;
      return -1;
    }
    return bio_write(bio, data, len);
  }
  int n = (unsigned)len < OUT_SIZE - used ? len : (int)(OUT_SIZE - used);
  memcpy(t->out + used, data, (size_t)n);
  t->out_len += (unsigned)n;
  return n;
}

/* 0 if OpenSSL may have these bytes, or -errno. */
static int
check_received(struct tls_stream *t, const char *buf, size_t len)
{
  struct tls_handshake *handshake = t->handshake;

  if (!handshake)
    return 0;
  return hello_check(&handshake->hello, (const unsigned char *)buf, len,
                     !handshake->answered                   ? HELLO_FIRST
                     : SSL_version(t->ssl) < TLS1_3_VERSION ? HELLO_TLS_1_2
                                                            : HELLO_TLS_1_3);
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
    n = recv(t->stream.fd, buf, (size_t)len, MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n == 0) {
    t->ended = true;
  } else if (n > 0) {
    t->dry = n < len;
    t->broken = check_received(t, buf, (size_t)n);
    if (t->broken != 0)
      return -1;
  } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
    t->dry = true;
    BIO_set_retry_read(bio);
  } else {
    t->broken = -errno;
  }
  return (int)n;
}

static long
bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
  const struct tls_stream *t = BIO_get_data(bio);

  (void)number;
  (void)pointer;
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
  if (method) {
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
    bio_method = method;
  }
}

bool
tls_bio_attach(struct tls_stream *t)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once(&once, make_bio_method);
  BIO *bio = bio_method ? BIO_new(bio_method) : NULL;
  if (!bio)
    return false;
  BIO_set_data(bio, t);
  BIO_set_init(bio, 1);
  SSL_set_bio(t->ssl, bio, bio);
  return true;
}
