/* SPDX-License-Identifier: BSD-2-Clause */
/* connection_state.h: the struct that connection.c and ending.c share; its
 * states and invariants are in connection.h. */
#ifndef SERVER_CLIENT_CONNECTION_CONNECTION_STATE_H
#define SERVER_CLIENT_CONNECTION_CONNECTION_STATE_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/turns.h"
#include "client/client.h"
#include "client/connection/negotiate.h"
#include "client/connection/receive.h"
#include "client/connection/requests.h"

enum connection_state {
  CONNECTION_NEGOTIATING,
  CONNECTION_SECURING,
  CONNECTION_SERVING,
  CONNECTION_ENDING,
  CONNECTION_LINGERING,
  CONNECTION_DEAD,
};

struct connection {
  TAILQ_ENTRY(connection) link; /* of the worker */
  struct client client;
  struct peer *peer;
  struct negotiation *negotiation; /* before SERVING */
  struct receiver receiver;
  struct requests requests;
  uint8_t state;   /* enum connection_state */
  bool yielding;   /* goes on when the others have had their turn */
  bool stopping;   /* the server is */
  const char *end; /* why it is ending, in order; for the log */
  bool awaits_in, awaits_out, awaits_gone; /* which of these is added */
  struct event readable, writable, timer;
  struct event gone; /* the client has, while nothing is read from it */
  struct turn turn;  /* for a step of TLS, while SECURING */
};

/* Waits for one of the three, or does not. */
static inline void
connection_await(struct event *ev, bool *added, bool wanted)
{
  if (wanted == *added)
    return;
  *added = wanted;
  if (wanted)
    event_add(ev, NULL);
  else
    event_del(ev);
}

static inline void
connection_set_timer(struct connection *conn, unsigned msec)
{
  const struct timeval tv = {
    .tv_sec = msec / 1000,
    .tv_usec = (suseconds_t)(msec % 1000) * 1000,
  };

  evtimer_add(&conn->timer, &tv);
}

/* The handshake is over, but for an answer that comes yet. */
static inline void
connection_drop_negotiation(struct connection *conn)
{
  if (!conn->negotiation || negotiate_is_waiting(conn->negotiation))
    return;
  negotiate_free(conn->negotiation);
  conn->negotiation = NULL;
}

#endif
