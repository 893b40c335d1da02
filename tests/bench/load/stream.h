/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stream: a connection as a stream of bytes, plain or encrypted. A stream
 * belongs to one connection and owns its socket.
 */

#ifndef BENCH_LOAD_STREAM_H
#define BENCH_LOAD_STREAM_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "tls.h"

/* A receive that waits for so long fails with -EAGAIN. */
#define STREAM_PATIENCE_S 30

struct stream_address {
  struct sockaddr_storage address;
  socklen_t len;
};

struct stream {
  int fd;
  struct tls *tls;  /* NULL: plain */
};

/* Fill ADDRESS from a Unix socket's path, or from HOST:PORT. Both fail the
 * process if there is no such thing. */
void stream_address_unix(struct stream_address *address, const char *path);
void stream_address_tcp(struct stream_address *address, const char *host_port);

/* 0; -EINPROGRESS: wait until writable, then call stream_connected(). */
int stream_connect(struct stream *s, const struct stream_address *address);
int stream_connected(struct stream *s);

void stream_start_tls(struct stream *s, struct tls_context *context);

/* All of these as in tls.h; a plain stream holds back nothing. */
ssize_t stream_recv(struct stream *s, void *buf, size_t len, bool wait);
bool stream_has_input(const struct stream *s);
ssize_t stream_send(struct stream *s, const struct iovec *iov, int count);
bool stream_has_output(const struct stream *s);
int stream_flush(struct stream *s);

void stream_close(struct stream *s);

#endif
