/* SPDX-License-Identifier: BSD-2-Clause */
/* ending.c: see ending.h, and connection.h for the states. */
#include "config.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "client/connection/ending.h"
#include "catalog/generation.h"
#include "client/connection/connection_state.h"
#include "client/host.h"
#include "client/worker.h"
#include "net/stream.h"

/* How long a client may take to fetch the last replies, */
#define ENDING_MSEC 10000
/* and to acknowledge them and close its end. */
#define LINGER_MSEC 500

static void
tell_left(const struct connection *conn)
{
  const struct client *c = &conn->client;
  struct fact fact = {
    .kind = FACT_LEFT,
    .export = c->export ? c->export->name : NULL,
    .why = conn->end ? conn->end : c->why,
    .read = c->read,
    .written = c->written,
    .nfailed = c->nfailed,
  };

  client_tell(c, &fact);
}

const char *const ending_by_stop = "the server stops";

void
ending_kill(struct connection *conn)
{
  struct client *c = &conn->client;

  if (conn->state == CONNECTION_DEAD)
    return;
  client_fail(c, "it is over");
  tell_left(conn);
  conn->state = CONNECTION_DEAD;
  connection_await(&conn->readable, &conn->awaits_in, false);
  connection_await(&conn->writable, &conn->awaits_out, false);
  connection_await(&conn->gone, &conn->awaits_gone, false);
  event_del(&conn->timer);
  turns_leave(&c->worker->turns, &conn->turn);
  receive_clear(&conn->receiver, c);
  requests_clear(&conn->requests);
  send_clear(&c->send);
  budget_give_up(&c->account);
  stream_free(c->stream);
  c->stream = NULL;
  client_kick(c);
}

static bool
awaits_nobody(const struct connection *conn)
{
  return client_in_flight(&conn->client) == 0 &&
         !(conn->negotiation && negotiate_is_waiting(conn->negotiation));
}

void
ending_free(struct connection *conn)
{
  struct client *c = &conn->client;
  struct host *host = c->host;
  struct peer *peer = conn->peer;

  if (!awaits_nobody(conn) || !budget_leave(&c->account) ||
      !client_leave_export(c))
    return;
  negotiate_free(conn->negotiation);
  TAILQ_REMOVE(&c->worker->connections, conn, link);
  send_destroy(&c->send);
  free(conn);
  host->left(host, peer);
}

static void
linger(struct connection *conn)
{
  const struct stream *s = conn->client.stream;

  if (!stream_throw_away(s) || stream_all_arrived(s) ||
      shutdown(s->fd, SHUT_WR) < 0) {
    ending_kill(conn);
    return;
  }
  conn->state = CONNECTION_LINGERING;
  connection_set_timer(conn, LINGER_MSEC);
}

void
ending_finish(struct connection *conn)
{
  struct stream *s = conn->client.stream;

  if (!awaits_nobody(conn) || !send_is_empty(&conn->client.send))
    return;
  if (s->ops->finish)
    s->ops->finish(s);
  if (conn->stopping)
    linger(conn);
  else
    ending_kill(conn);
}

void
ending_begin(struct connection *conn, const char *why)
{
  if (conn->state >= CONNECTION_ENDING)
    return;
  conn->state = CONNECTION_ENDING;
  turns_leave(&conn->client.worker->turns, &conn->turn);
  conn->end = why;
  receive_clear(&conn->receiver, &conn->client);
  requests_clear(&conn->requests);
  budget_give_up(&conn->client.account);
  connection_set_timer(conn, ENDING_MSEC);
  client_kick(&conn->client);
}

/* What is held was received, and has its turn yet. */
void
ending_stop(struct connection *conn)
{
  if (conn->stopping && conn->state == CONNECTION_SERVING &&
      !receive_is_holding(&conn->receiver))
    ending_begin(conn, ending_by_stop);
}

void
ending_shut_down(struct connection *conn)
{
  if (conn->state >= CONNECTION_ENDING)
    return;
  conn->stopping = true;
  if (conn->negotiation)
    negotiate_shutdown(conn->negotiation);
  ending_stop(conn);
}

void
ending_late(struct connection *conn)
{
  const struct client *c = &conn->client;

  if (conn->state == CONNECTION_ENDING && client_in_flight(c) > 0 &&
      !c->send.blocked)
    connection_set_timer(conn, ENDING_MSEC); /* the disk takes long */
  else
    ending_kill(conn);
}
