/* SPDX-License-Identifier: BSD-2-Clause */
/* credentials.h: one set of certificates and keys, as OpenSSL wants them, and
 * the sessions that begin with it.  Immutable once made, shared and counted.
 * Any thread. */
#ifndef SERVER_NET_TLS_CREDENTIALS_H
#define SERVER_NET_TLS_CREDENTIALS_H

#include <stdbool.h>

#include "net/tls/psk.h"
#include "vhdkit.h"

/* OpenSSL's. */
struct ssl_st;

struct keys;
struct tls_credentials;

int tls_credentials_new(const struct keys *keys,
                        struct tls_credentials **credentials,
                        struct vhd_error *err);
struct tls_credentials *
tls_credentials_ref(struct tls_credentials *credentials);
void tls_credentials_unref(struct tls_credentials *credentials);

/* Its file of pre-shared keys is empty. */
bool tls_credentials_have_no_psk(const struct tls_credentials *credentials);

/* The pre-shared key that a client has named, "" if it named none.  That it can
 * use it, the end of the handshake shows: nobody can use one that is unknown,
 * but who does not have the key cannot tell that it is. */
struct tls_claim {
  char identity[PSK_MAX_IDENTITY + 1];
  bool unknown;
};

/* A new server-side session; claim must live through its handshake.  NULL
 * where memory is short.  The credentials must outlive it. */
struct ssl_st *tls_credentials_session(struct tls_credentials *credentials,
                                       struct tls_claim *claim);

/* Writes the oldest reason that OpenSSL has recorded in this thread. */
void tls_reason(char *buf, size_t size);

#endif
