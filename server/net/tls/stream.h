/* SPDX-License-Identifier: BSD-2-Clause */
/* stream.h: the stream that is TLS: the server's side of a session straight on
 * the socket, as stream.h describes it.
 *
 * A stream's identity is as identity.h has it.
 *
 * Made by any thread, then used by one. */
#ifndef SERVER_NET_TLS_STREAM_H
#define SERVER_NET_TLS_STREAM_H

struct stream;
struct tls_context;

/* A stream over a connected socket, which becomes non-blocking and the
 * stream's own; NULL (fd untouched) where memory is short. */
struct stream *tls_stream_new(struct tls_context *context, int fd);

#endif
