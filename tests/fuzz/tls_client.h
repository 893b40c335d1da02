/* SPDX-License-Identifier: BSD-2-Clause */
/* tls_client.h: the client's side of TLS for fuzz_connection, from bytes to
 * bytes: no socket is known here, so that what goes over the wire can be cut
 * up, changed or added to. */
#ifndef FUZZ_TLS_CLIENT_H
#define FUZZ_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tls_client;

enum tls_kind {
  TLS_KIND_13,
  TLS_KIND_12,       /* with (EC)DHE */
  TLS_KIND_12_PLAIN, /* the key alone */
  TLS_KIND_ANY,      /* whatever the server likes best */
  TLS_KIND_GOOD = TLS_KIND_ANY,
  /* These must fail. */
  TLS_KIND_WRONG_KEY,
  TLS_KIND_STRANGER, /* an identity that nobody knows */
  TLS_KIND_NO_KEY,
  TLS_KIND_12_WRONG_KEY,
  TLS_NKINDS,
};

enum {
  TLS_CLIENT_NOTHING = 0, /* needs more input */
  TLS_CLIENT_BROKEN = -1,
  TLS_CLIENT_GOODBYE = -2, /* close_notify */
};

struct tls_client *tls_client_new(enum tls_kind kind);
void tls_client_free(struct tls_client *t);

/* Goes on with the handshake.  1: done, or as above. */
int tls_client_step(struct tls_client *t);

/* Ciphertext, in and out. */
void tls_client_feed(struct tls_client *t, const void *p, size_t n);
size_t tls_client_take(struct tls_client *t, void *p, size_t n);

/* Cleartext.  put: whether all was encrypted.  get: how much, or as above. */
bool tls_client_put(struct tls_client *t, const void *p, size_t n);
ssize_t tls_client_get(struct tls_client *t, void *p, size_t n);

/* New keys (TLS 1.3), of the server too if it is asked. */
bool tls_client_update(struct tls_client *t, bool ask);
/* TLS 1.2. */
void tls_client_renegotiate(struct tls_client *t);
void tls_client_goodbye(struct tls_client *t);

#endif
