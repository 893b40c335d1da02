/* SPDX-License-Identifier: BSD-2-Clause */
/* requests.h: bytes to requests, within the limits: the consumer (receive.h)
 * of the transmission phase.  On the thread of the client's loop.
 *
 * A request is begun only if the limits allow it; else it and all that is
 * behind it waits, held by the receiver.  So do the data of a write, which are
 * carried out from where they lie if they have come whole, and are gathered in
 * a buffer of their own if not.  Data of a refused write is counted and thrown
 * away. */
#ifndef SERVER_CLIENT_CONNECTION_REQUESTS_H
#define SERVER_CLIENT_CONNECTION_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/connection/receive.h"
#include "nbd/transmission.h"

struct client;

struct requests {
  struct client *client;
  /* A write whose data is arriving, or one that was refused. */
  struct nbd_request at_hand;
  struct buf *arriving; /* charged; NULL: none */
  uint32_t got;         /* bytes of it */
  uint64_t drain;       /* bytes to throw away */
  uint64_t need;        /* memory that was not to be had for the next thing */
  bool stuck;           /* that is data of .arriving */
  /* Of this turn: */
  unsigned begun;
  size_t bytes;     /* of replies that were asked for */
  bool yielding;    /* it is over; the client goes on when others had theirs */
  bool unannounced; /* a write did not announce its data; that is noted */
};

void requests_init(struct requests *r, struct client *c);
/* A new turn: of so many requests and bytes. */
void requests_begin_turn(struct requests *r);
/* Gives back what it holds. */
void requests_clear(struct requests *r);

/* Of a struct requests.  END: DISC. */
extern const struct consumer requests_consumer;

#endif
