/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tls: TLS over a connected socket, in whole batches: one send for all that a
 * batch of requests encrypts to, one receive for all that has arrived. The only
 * file that knows OpenSSL. A struct tls belongs to one connection.
 */

#ifndef BENCH_LOAD_TLS_H
#define BENCH_LOAD_TLS_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

struct tls;
struct tls_context;

struct tls_options {
  const char *ca_file;    /* X.509: whom to believe; NULL: do not verify */
  const char *host_name;  /* X.509: the name in the server's certificate */
  const char *psk_file;   /* lines of NAME:HEXKEY; NULL: use X.509 */
  const char *psk_name;   /* which line; NULL: the first */
  const char *ciphers;    /* TLS 1.3 cipher suites; NULL: OpenSSL's choice */
};

/* Shared by all connections; fails the process where OPTIONS cannot be met. */
struct tls_context *tls_context_new(const struct tls_options *options);
void tls_context_free(struct tls_context *context);

/* TLS on FD, which becomes non-blocking and stays the caller's. */
struct tls *tls_new(struct tls_context *context, int fd);
void tls_free(struct tls *tls);

/* 0 once the connection is encrypted, -EAGAIN while the server's part is
 * missing, -EPROTO with tls_error() otherwise. */
int tls_handshake(struct tls *tls);

/* As recv(): bytes, 0 at the end, -EAGAIN, -EPROTO. WAIT blocks instead of
 * -EAGAIN. Takes as many records as there are and fit. */
ssize_t tls_recv(struct tls *tls, void *buf, size_t len, bool wait);

/* Does the next tls_recv() have something to work on, received already? */
bool tls_has_input(const struct tls *tls);

/* Copy what fits of the vector, encrypt and send it. Returns bytes taken, or
 * -EAGAIN while nothing fits. What was taken may lie here until tls_flush(). */
ssize_t tls_send(struct tls *tls, const struct iovec *iov, int count);
bool tls_has_output(const struct tls *tls);
int tls_flush(struct tls *tls);

/* Say goodbye; does not wait for the answer. */
void tls_shutdown(struct tls *tls);

/* What OpenSSL has to say about the last failure. */
const char *tls_error(void);

#endif
