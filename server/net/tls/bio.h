/* SPDX-License-Identifier: BSD-2-Clause */
/* bio.h: what is below OpenSSL: a BIO that receives from the stream's socket,
 * and collects what is to be sent in its .out. */
#ifndef SERVER_NET_TLS_BIO_H
#define SERVER_NET_TLS_BIO_H

#include <stdbool.h>

struct tls_stream;

/* Puts a BIO under t->ssl.  False where memory is short. */
bool tls_bio_attach(struct tls_stream *t);

/* Sends what is in .out.  0 when it is empty, -EAGAIN, or -errno. */
int tls_bio_flush(struct tls_stream *t, bool more);

#endif
