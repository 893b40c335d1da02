/* SPDX-License-Identifier: BSD-2-Clause */
/* identity.h: who a client has proved to be: "psk:IDENTITY" by a pre-shared
 * key, "x509:NAME" by a certificate that was asked for and verified, where NAME
 * is the common name of its subject, or else its first alternative name. */
#ifndef SERVER_NET_TLS_IDENTITY_H
#define SERVER_NET_TLS_IDENTITY_H

#include <stdbool.h>

struct ssl_st;
struct tls_claim;

/* Has the client come through with a key that it cannot have? */
bool tls_identity_is_impossible(const struct ssl_st *ssl,
                                const struct tls_claim *claim);

/* After the handshake, in which it claimed so; to be freed.  NULL: nobody.
 * *issuer: who has issued the certificate, as RFC 4514 writes names; likewise;
 * NULL for a key. */
char *tls_identity_find(const struct ssl_st *ssl,
                        const struct tls_claim *claim, char **issuer);

#endif
