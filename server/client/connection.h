/* SPDX-License-Identifier: BSD-2-Clause */
/* connection.h: one client.
 *
 * A connection lives on one loop, whose thread alone touches it.  It is spread
 * over several files, each of which owns some of its fields:
 *
 *   connection.c  birth and death, events, deadlines, shutdown
 *   negotiate.c   the handshake: .haggle
 *   receive.c     bytes to requests: .held, .part, .receiving, .drain,
 *                 .unannounced
 *   op.c          a request in flight; read.c and status.c those two kinds
 *   send.c        replies to bytes: .out
 *
 * States:
 *
 *   HAGGLING --STARTTLS--> SECURING --> HAGGLING
 *       | READY
 *   SERVING --DISC, end of file, stop--> ENDING --all sent--> DEAD
 *                                           | stop
 *                                           +--> LINGERING --> DEAD
 *   any --error, deadline--> DEAD
 *
 *  1. Only HAGGLING, SECURING and SERVING read from the stream; SERVING does
 *     not when the server stops (.stopping).
 *  2. Nothing is read while replies wait that the client does not take
 *     (.blocked), or while bytes wait that may not be looked at yet (.held).
 *  3. A request is begun only if the limits allow it; else it and all that is
 *     behind it waits in .held.  What waits there when the connection dies is
 *     never begun.
 *  4. The stream is freed on entering DEAD; the connection when, besides,
 *     nothing is in flight (.nops), no answer is awaited and none of its
 *     functions is running (.awaits), and .kick is not posted.
 *  5. .cancelled is set on entering DEAD, and at an end of file without DISC:
 *     data of writes in flight that has not been written is not written.
 *  6. An idle connection holds no buffer.  Whatever it does hold is charged to
 *     it and to the server (.bytes).
 *  7. When the server stops, what was received whole is answered, and nothing
 *     more is read: a client that can reconnect asks its new connection again,
 *     while an error would be the end of its disk.  Bytes that nobody has read
 *     would make close() reset a TCP connection, and a reset destroys replies
 *     that the client's kernel has not acknowledged: so LINGERING throws them
 *     away until the client has gone, too. */
#ifndef SERVER_CLIENT_CONNECTION_H
#define SERVER_CLIENT_CONNECTION_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buffer.h"
#include "base/loop.h"
#include "nbd/session.h"
#include "nbd/transmission.h"
#include "net/stream.h"

struct export;
struct haggle;
struct op;
struct peer;
struct server;

enum connection_state {
  CONNECTION_HAGGLING,
  CONNECTION_SECURING,
  CONNECTION_SERVING,
  CONNECTION_ENDING,
  CONNECTION_LINGERING,
  CONNECTION_DEAD,
};

/* A piece of output: bytes in a buffer, or a range of a file. */
struct out {
  TAILQ_ENTRY(out) link;
  struct buf *buf;  /* NULL: a file */
  unsigned char *at;
  size_t len;       /* not sent yet */
  size_t room;      /* behind the bytes, for more */
  struct op *op;    /* file: the read that keeps it in place */
  uint64_t off;
  int fd;
};

struct connection {
  TAILQ_ENTRY(connection) link; /* of the loop */
  struct loop *loop;
  struct server *server;
  struct stream *stream;
  struct peer *peer;
  struct export *export; /* SERVING and later */
  struct haggle *haggle; /* before that */
  struct nbd_session session;

  uint8_t state; /* enum connection_state */
  bool blocked;  /* the client does not take what is to be sent */
  bool yielding; /* goes on when the others have had their turn */
  bool kicked;   /* .kick is posted */
  bool stopping; /* the server is */
  bool batching; /* more requests wait behind the one at hand */
  bool unannounced; /* a write did not announce its data; that is noted */
  atomic_bool cancelled;

  unsigned nops;   /* in flight */
  unsigned awaits; /* answers of other threads, functions running */
  uint64_t bytes;  /* charged */

  TAILQ_HEAD(outs, out) out;
  size_t out_len;

  struct buf *held; /* with a reference */
  uint32_t held_at, held_end;
  unsigned char part[64]; /* the beginning of a header */
  uint32_t part_len;
  struct op *receiving; /* a write whose data is arriving */
  uint64_t drain;       /* bytes to throw away */
  struct nbd_request rejected; /* to be answered then */

  struct task kick;
  struct event readable, writable, timer;
};

/* Takes the stream and the peer over, whatever it returns.  On the loop's
 * thread.  0 or -errno. */
int connection_new(struct loop *loop, struct stream *stream,
                   struct peer *peer);

/* The server stops: from now on options are refused, and commands are not read
 * any more. */
void connection_shutdown(struct connection *conn);
/* No more input: dies when all is finished and sent. */
void connection_end(struct connection *conn);
/* The server has waited long enough for it to choose an export. */
void connection_hurry(struct connection *conn);

/* ---- for the files of the connection */

/* Closes it now; frees it, if it can: conn is not to be used afterwards except
 * by who holds an op or an await of it. */
void connection_kill(struct connection *conn);
/* Frees what is DEAD and that nobody uses any more. */
void connection_reap(struct connection *conn);
/* Sends, and goes on with what was held back, when the loop has run what is
 * posted already. */
void connection_kick(struct connection *conn);
/* Waits for what the state says. */
void connection_interest(struct connection *conn);
void connection_set_timer(struct connection *conn, unsigned msec);

static inline bool
connection_is_dead(const struct connection *conn)
{
  return conn->state == CONNECTION_DEAD;
}

void connection_charge(struct connection *conn, uint64_t bytes);
void connection_discharge(struct connection *conn, uint64_t bytes);
/* A buffer, charged; NULL where memory is short. */
struct buf *connection_get_buf(struct connection *conn, size_t size);
void connection_put_buf(struct connection *conn, struct buf *buf);

/* negotiate.c */
int haggle_begin(struct connection *conn);
/* Takes input; returns how much.  May change the state. */
size_t haggle_feed(struct connection *conn, const unsigned char *p, size_t n);
/* SECURING: goes on with the negotiation of TLS. */
void haggle_secure(struct connection *conn);
void haggle_shutdown(struct connection *conn);
void haggle_free(struct connection *conn);

/* receive.c: reads, and acts on, what there is. */
void receive(struct connection *conn);
void receive_clear(struct connection *conn);

/* send.c */
/* Room for n more bytes, to be committed before anything else is put there;
 * NULL where memory is short. */
unsigned char *output_reserve(struct connection *conn, size_t n);
void output_commit(struct connection *conn, size_t n);
/* Takes over a charged buffer of which len bytes from `at` on are output. */
bool output_buf(struct connection *conn, struct buf *buf, unsigned char *at,
                size_t len);
/* A range of a file; op_sent() is called when it has gone. */
bool output_file(struct connection *conn, struct op *op, int fd, uint64_t off,
                 size_t len);
/* Sends what it can; kills the connection if it is broken. */
void output_send(struct connection *conn);
void output_clear(struct connection *conn);

#endif
