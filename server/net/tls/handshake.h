/* SPDX-License-Identifier: BSD-2-Clause */
/* handshake.h: how a TLS stream begins.  A step of it may take the processor
 * for several milliseconds. */
#ifndef SERVER_NET_TLS_HANDSHAKE_H
#define SERVER_NET_TLS_HANDSHAKE_H

struct stream;

/* As stream.h has it. */
int tls_handshake(struct stream *s);

/* A stream has been made, or freed. */
void tls_handshake_count(int n);

#endif
