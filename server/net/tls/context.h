/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Certificates and keys: loaded at start, looked at again when a client asks
 * for TLS (at most once a second) and loaded anew when the files have
 * changed.  Running connections keep what they began with; files that cannot
 * be loaded leave the former ones in use, and a warning.
 *
 * struct tls_context is the configuration and its newest credentials; struct
 * tls_credentials one loaded set, shared and counted.  Any thread.
 */
#ifndef SERVER_NET_TLS_CONTEXT_H
#define SERVER_NET_TLS_CONTEXT_H

#include <stdbool.h>

#include "net/tls/psk.h"
#include "vhdkit.h"

/* OpenSSL's. */
struct ssl_st;

struct tls_config {
  /* ca-cert.pem (needed for verify_peer), server-cert.pem, server-key.pem,
   * ca-crl.pem (optional) are in this folder; NULL: no certificates. */
  const char *certificates;
  bool verify_peer; /* clients must have a certificate */
  const char *psk;  /* a file as of psk.h; NULL: none */
};

struct tls_context;
struct tls_credentials;

/* The strings of config must outlive the context. */
int tls_context_new(const struct tls_config *config,
                    struct tls_context **context, struct vhd_error *err);
void tls_context_free(struct tls_context *context);

/* Loads everything again, changed or not (SIGHUP). */
void tls_context_reload(struct tls_context *context);

/* The newest credentials, for the caller to unref. */
struct tls_credentials *tls_context_credentials(struct tls_context *context);
void tls_credentials_unref(struct tls_credentials *credentials);

/* The pre-shared key that a client has named, "" if it named none that we
 * know.  That it can use it, the end of the handshake shows. */
struct tls_claim {
  char identity[PSK_MAX_IDENTITY + 1];
};

/* A new server-side session; claim must live through its handshake.  NULL
 * where memory is short.  The credentials must outlive it. */
struct ssl_st *tls_credentials_session(struct tls_credentials *credentials,
                                       struct tls_claim *claim);

/* Writes the oldest reason that OpenSSL has recorded in this thread. */
void tls_reason(char *buf, size_t size);

#endif
