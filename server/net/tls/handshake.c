/* SPDX-License-Identifier: BSD-2-Clause */
/* handshake.c: the handshake; see handshake.h. */
#include "config.h"

#include "net/tls/handshake.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/log_cause.h"
#include "net/tls/bio.h"
#include "net/tls/credentials.h"
#include "net/tls/identity.h"
#include "net/tls/stream_state.h"

#define TRIM_MIN 64

static atomic_uint streams; /* that there are */

static void
find_reason(const struct tls_stream *t, char *reason, size_t size)
{
  long verified = SSL_get_verify_result(t->ssl);

  if (verified != X509_V_OK) {
    snprintf(reason, size, "the client's certificate: %s",
             X509_verify_cert_error_string(verified));
  } else if (t->broken != 0) {
    snprintf(reason, size, "%s", strerror(-t->broken));
  } else if (t->ended || ERR_peek_error() == 0) {
    /* In order, with a close_notify: OpenSSL calls that no error. */
    snprintf(reason, size, "the client hung up");
  } else {
    tls_reason(reason, size);
  }
}

/* The log says what the client is not told: whether a key of that name exists.
 * Strangers choose names and addresses, so neither is a cause. */
static void
log_failure(const struct tls_stream *t)
{
  const struct tls_claim *claim = &t->handshake->claim;
  char reason[256];

  find_reason(t, reason, sizeof reason);
  if (!log_cause_pass("TLS handshakes that fail%s: %s",
                      claim->unknown ? " for want of a key" : "", reason))
    return;
  if (claim->unknown) {
    log_notice("TLS handshake with %s failed: there is no pre-shared key for "
               "'%s'",
               t->handshake->peer, claim->identity);
  } else if (claim->identity[0] != '\0') {
    log_notice("TLS handshake with %s failed: %s, with the pre-shared key of "
               "'%s'",
               t->handshake->peer, reason, claim->identity);
  } else {
    log_notice("TLS handshake with %s failed: %s", t->handshake->peer, reason);
  }
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

void
tls_handshake_count(int n)
{
  atomic_fetch_add(&streams, (unsigned)n);
}

static void
established(struct tls_stream *t)
{
  t->identity = tls_identity_find(t->ssl, &t->handshake->claim, &t->issuer);
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
fail(struct tls_stream *t)
{
  log_failure(t);
  tls_bio_flush(t, false); /* the alert, which tells the client why */
  ERR_clear_error();
  return t->broken != 0 ? t->broken : -EPROTO;
}

int
tls_handshake(struct stream *s)
{
  struct tls_stream *t = tls_of(s);

  if (!t->handshake)
    return 0;
  s->recv_want = POLLOUT;
  int sent = tls_bio_flush(t, false);
  if (sent < 0)
    return sent;
  t->dry = false;
  t->recvs = 0;
  ERR_clear_error();
  int r = SSL_do_handshake(t->ssl);
  int error = SSL_get_error(t->ssl, r);
  if (r == 1 ? tls_identity_is_impossible(t->ssl, &t->handshake->claim)
             : error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
    return fail(t);
  sent = tls_bio_flush(t, false);
  if (sent < 0)
    return sent;
  if (r == 1) {
    established(t);
    return 0;
  }
  s->recv_want = error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
  return -EAGAIN;
}
