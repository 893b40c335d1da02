/* SPDX-License-Identifier: BSD-2-Clause
 *
 * conn: one NBD connection. It negotiates, holds up to `depth` requests in
 * flight, sends the queued ones in one system call and takes apart whatever
 * came back in one. It knows no workload and no event loop: the owner calls it
 * when its socket is ready, and hears what happened through a struct
 * conn_handler. One thread.
 */

#ifndef BENCH_LOAD_CONN_H
#define BENCH_LOAD_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "handshake.h"
#include "stream.h"
#include "wire.h"

struct conn;

/* A request: free, queued, or in flight. */
struct slot {
  struct nbd_request request;
  const uint8_t *payload;  /* of a WRITE; stays until completion */
  uint64_t queued_ns;
  uint64_t position;       /* the owner's: progress of a scan and the like */
  unsigned step;           /* the owner's: which part of a compound request */
  uint32_t answered;       /* bytes of a READ that have come */
  uint32_t error;          /* the first one the server told */
  bool busy;
};

struct conn_handler {
  /* The connection is negotiated. */
  void (*ready)(struct conn *c);
  /* N bytes of a READ, at OFFSET of the export; DATA is NULL for zeros. */
  void (*data)(struct conn *c, uint64_t offset, const uint8_t *data, size_t n);
  /* One extent of BLOCK_STATUS. */
  void (*extent)(struct conn *c, struct slot *slot, uint32_t len,
                 uint32_t flags);
  /* SLOT is answered and free; the handler may conn_queue() it again. */
  void (*done)(struct conn *c, struct slot *slot);
};

/* What all connections of a run share. */
struct conn_setup {
  struct tls_context *tls;  /* NULL: plain */
  const struct conn_handler *handler;
  void *owner;       /* for the handler */
  unsigned depth;
  bool one_by_one;   /* a system call for each request, as the kernel does */
};

enum conn_state {
  CONN_CLOSED,
  CONN_CONNECTING,
  CONN_NEGOTIATING,
  CONN_TLS,
  CONN_READY,
};

struct conn {
  const struct conn_setup *setup;
  unsigned id;
  const struct stream_address *address;
  const struct handshake_wishes *wishes;
  enum conn_state state;
  struct stream stream;
  struct handshake *handshake;  /* until CONN_READY */
  uint64_t export_size;
  uint32_t context;

  struct slot *slots;
  struct slot **free_slots;
  unsigned free_count;

  struct slot **queue;  /* a ring of requests to send */
  unsigned queue_head;
  unsigned queue_count;
  size_t head_sent;     /* bytes of the first one that are gone */

  uint8_t *buffer;      /* of received bytes, made on first use */
  size_t kept;          /* how many of the last batch were not whole */
  struct nbd_reply reply;  /* whose payload is arriving ... */
  struct slot *current;    /* ... for this request; NULL: a head is next */
  uint64_t data_offset;    /* of the payload's next byte */
  uint32_t payload_left;

  uint64_t serial;
  bool blocked;         /* there is output the socket would not take */
};

/* ADDRESS and WISHES must outlive it. */
void conn_init(struct conn *c, unsigned id, const struct conn_setup *setup,
               const struct stream_address *address,
               const struct handshake_wishes *wishes);

/* Connect (again). The owner then waits for conn_wants_output() or input. */
void conn_open(struct conn *c);

/* The socket is ready. With WAIT, block until something was received. */
void conn_input(struct conn *c, bool wait);
void conn_output(struct conn *c);

/* Must the owner wait for the socket to become writable? */
bool conn_wants_output(const struct conn *c);

/* A free slot, or NULL; it counts as in flight from here on. The owner fills
 * `request` except for the cookie, and `payload`, and queues it. */
struct slot *conn_take_slot(struct conn *c);
void conn_queue(struct conn *c, struct slot *slot, uint64_t now_ns);

static inline unsigned
conn_in_flight(const struct conn *c)
{
  return c->setup->depth - c->free_count;
}

/* Say DISC, and close. Nothing may be in flight. */
void conn_close(struct conn *c);
void conn_free(struct conn *c);

#endif
