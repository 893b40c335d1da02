/* SPDX-License-Identifier: BSD-2-Clause */
/* stream_state.h: the struct that the parts of a TLS stream share: bio.c is
 * below OpenSSL, handshake.c begins it, stream.c is what its owner sees.
 *
 * Invariants:
 * 1. .out exists only while it holds bytes.  An idle stream has no buffers.
 * 2. Nothing is encrypted while .out holds bytes of an earlier call: a client
 *    that does not read costs one batch.
 * 3. The caller is never told that all its bytes are sent while .out still
 *    holds some, for it would then not wait to send again.  The plaintext of
 *    the last record (.owed bytes) is kept back, and is reported once .out is
 *    empty; the caller offers it again until then, and it is skipped. */
#ifndef SERVER_NET_TLS_STREAM_STATE_H
#define SERVER_NET_TLS_STREAM_STATE_H

#include <stdbool.h>

#include "net/socket.h"
#include "net/stream.h"
#include "net/tls/credentials.h"
#include "net/tls/hello.h"

#define TLS_RECORD 16384
#define TLS_BATCH 5 /* records: 64 KiB of data, and the header before them */

/* What is known only while the handshake lasts. */
struct tls_handshake {
  struct tls_claim claim;
  struct hello hello;
  bool answered;               /* the server has said something */
  char peer[SOCKET_NAME_SIZE]; /* a dead socket does not tell any more */
};

struct tls_stream {
  struct stream stream;
  struct ssl_st *ssl;
  struct tls_credentials *credentials;
  struct tls_handshake *handshake; /* NULL: it is over */
  char *identity;                  /* NULL: nobody */
  char *issuer;                    /* of his certificate, or NULL */
  unsigned char *out;
  unsigned out_off, out_len; /* bytes of .out yet to be sent */
  unsigned owed;
  unsigned recvs; /* since data has come */
  int broken;     /* -errno of the socket */
  bool dry;
  bool ended;   /* the peer closed the socket */
  bool starved; /* OpenSSL has asked for more than the socket has */
  bool over;    /* the end, or what is wrong, lies behind what was received */
};

static inline struct tls_stream *
tls_of(struct stream *s)
{
  return (struct tls_stream *)s;
}

#endif
