/* SPDX-License-Identifier: BSD-2-Clause */
/* link.h: the way between a client of fuzz_connection and the server: a socket,
 * and TLS on it, where what is sent may be cut up and corrupted.
 *
 * Reading never waits by itself; writing does, if the server does not take what
 * it must take: then what it sends is gathered meanwhile.  Whoever waits in
 * vain for HOUSE_PATIENCE_MSEC has found a hang. */
#ifndef FUZZ_LINK_H
#define FUZZ_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_client;

struct bytes {
  uint8_t *p;
  size_t n, room;
};

struct link {
  int fd; /* -1: closed */
  struct tls_client *tls;
  struct bytes raw;    /* TLS: records that were encrypted */
  struct bytes came;   /* cleartext that nobody has looked at yet */
  struct bytes held;   /* what is to be sent at once, later */
  bool corked;         /* it is held until somebody waits */
  bool ended;          /* nothing will come any more */
  bool broken;         /* TLS has said so */
  bool goodbye;        /* TLS: the end was announced */
  bool deaf;           /* what comes is thrown away */
  bool shut;           /* nothing can be sent any more */
  bool corrupted;      /* the server has not got what it was sent */
  uint64_t sent;       /* bytes on the wire */
  uint64_t corrupt_at; /* the byte of them to corrupt; 0: none */
  uint8_t corrupt_how;
  size_t piece;        /* send in pieces of so many bytes; 0: at once */
  unsigned barriers;   /* so many pieces may still be waited for */
};

void link_open(struct link *l, int fd);
/* Closes it, at once; no harm if it is closed. */
void link_close(struct link *l);

void link_send(struct link *l, const void *p, size_t n);
/* The same below TLS. */
void link_send_raw(struct link *l, const void *p, size_t n);
/* What TLS itself has to say. */
void link_flush(struct link *l);
/* Sends what is held. */
void link_uncork(struct link *l);
void link_shut(struct link *l);

/* Adds what is there to .came. */
void link_gather(struct link *l);
/* The same, but waits until there is something, or the end. */
void link_wait(struct link *l);
/* The first n bytes of .came were looked at. */
void link_consume(struct link *l, size_t n);

/* Begins TLS, of kind enum tls_kind, and ends the handshake.  True: it has
 * succeeded.  half: only a half of what there is to say first is sent. */
bool link_secure(struct link *l, unsigned kind, bool half);

#endif
