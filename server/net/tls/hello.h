/* SPDX-License-Identifier: BSD-2-Clause */
/* hello.h: looks at what a client sends before encryption begins.  OpenSSL
 * takes memory for a message as soon as its length is announced, and permits
 * 128 KiB: that is too much for a few bytes of a stranger's.
 *
 * Sees the same bytes as OpenSSL, and leaves all else to be found by it. */
#ifndef SERVER_NET_TLS_HELLO_H
#define SERVER_NET_TLS_HELLO_H

#include <stdbool.h>
#include <stddef.h>

/* Several times what clients say, with keys that resist quanta, too. */
#define HELLO_MAX 16384

/* How far the server is. */
enum hello_phase {
  HELLO_FIRST, /* it has said nothing yet */
  HELLO_TLS_1_2,
  HELLO_TLS_1_3,
};

/* Zero-initialised. */
struct hello {
  unsigned char record[5]; /* its head */
  unsigned char message[4];
  unsigned char record_have, message_have; /* bytes of these */
  unsigned record_left, message_left;
  bool over; /* what follows is encrypted */
};

/* The next len bytes.  0; -EMSGSIZE: they announce too long a message; -EPROTO:
 * they come before their time. */
int hello_check(struct hello *hello, const unsigned char *bytes, size_t len,
                enum hello_phase phase);

#endif
