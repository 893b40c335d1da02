/* SPDX-License-Identifier: BSD-2-Clause */
/* context.h: certificates and keys: loaded at start, looked at again when a
 * client asks for TLS (at most once a second) and loaded anew when the files
 * have changed.  Running connections keep what they began with.
 *
 * Files are read, and made OpenSSL's, on a thread of the context's own: no
 * client waits for a disk, nor for a long list of revocations.  What cannot be
 * loaded leaves the former keys in use, among them those that were to be
 * revoked: that is said as an error, again and again until it succeeds.
 *
 * Any thread, but for the functions that begin and end it. */
#ifndef SERVER_NET_TLS_CONTEXT_H
#define SERVER_NET_TLS_CONTEXT_H

#include <stdbool.h>

#include "net/tls/keys.h"
#include "vhdkit.h"

struct tls_config {
  /* ca-cert.pem (needed for verify_peer), server-cert.pem, server-key.pem,
   * ca-crl.pem (optional) are in this folder; NULL: no certificates. */
  const char *certificates;
  bool verify_peer; /* clients must have a certificate */
  const char *psk;  /* a file as of psk.h; NULL: none */
  key_reader *read; /* on any thread */
  key_looker *look; /* likewise; may be NULL */
  void *read_opaque;
  /* Another process has served before, with keys that were good.  Then what
   * cannot be loaded is no reason not to begin: nobody gets in by TLS until it
   * can be. */
  bool continues;
  bool revokes; /* that one had a list of revocations: there must be one */
  /* What keeps the newest files from being in use, "" when nothing does any
   * more; former: others are.  On the context's thread, or in
   * tls_context_new().  May be NULL. */
  void (*tell)(void *opaque, const char *trouble, bool former);
  /* There is a list of revocations, which counts from now on.  Likewise. */
  void (*tell_revokes)(void *opaque);
  void *tell_opaque;
  unsigned retry_sec; /* after a failure; 0: 60 */
};

struct tls_context;
struct tls_credentials;

/* Loads them.  The strings of config must outlive the context. */
int tls_context_new(const struct tls_config *config,
                    struct tls_context **context, struct vhd_error *err);
/* From now on they are loaded again.  Once the process has given up its rights:
 * what can then be read no more is warned of. */
int tls_context_start(struct tls_context *context, struct vhd_error *err);
void tls_context_free(struct tls_context *context);

/* Has everything loaded again, changed or not (SIGHUP). */
void tls_context_reload(struct tls_context *context);

/* The newest credentials, for the caller to unref.  NULL: there are none, as
 * .continues says. */
struct tls_credentials *tls_context_credentials(struct tls_context *context);

#endif
