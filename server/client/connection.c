/* SPDX-License-Identifier: BSD-2-Clause */
/* connection.c: see connection.h: birth and death, events, deadlines. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "client/connection.h"
#include "base/container.h"
#include "base/log.h"
#include "catalog/catalog.h"
#include "client/client.h"
#include "client/host.h"
#include "client/negotiate.h"
#include "client/receive.h"
#include "client/requests.h"
#include "client/worker.h"
#include "config/server_config.h"
#include "net/stream.h"

/* How long a client may take to fetch the last replies, */
#define ENDING_MSEC 10000
/* and to acknowledge them and close its end. */
#define LINGER_MSEC 500
/* Look again whether there is memory. */
#define RETRY_MSEC 20

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
  uint8_t state; /* enum connection_state */
  bool yielding; /* goes on when the others have had their turn */
  bool stopping; /* the server is */
  struct event readable, writable, timer;
};

static enum receive_verdict take(void *of, struct buf *input,
                                 const unsigned char *p, size_t n,
                                 size_t *used);
static unsigned char *place(void *of, size_t *len);
static enum receive_verdict took(void *of, size_t n);

static const struct consumer consumer = {
  .take = take,
  .place = place,
  .took = took,
};

static void
set_timer(struct connection *conn, unsigned msec)
{
  const struct timeval tv = {
    .tv_sec = msec / 1000,
    .tv_usec = (suseconds_t)(msec % 1000) * 1000,
  };

  evtimer_add(&conn->timer, &tv);
}

/* ------------------------------------------------------------------- death */

/* The client is cut off.  What is in flight may still refer to it: it is freed
 * by a kick, when nothing does. */
static void
kill_now(struct connection *conn)
{
  struct client *c = &conn->client;

  if (conn->state == CONNECTION_DEAD)
    return;
  if (client_has_failed(c))
    log_debug("a client is cut off: %s", c->why);
  client_fail(c, "it is over");
  conn->state = CONNECTION_DEAD;
  event_del(&conn->readable);
  event_del(&conn->writable);
  event_del(&conn->timer);
  receive_clear(&conn->receiver, c);
  requests_clear(&conn->requests);
  send_clear(&c->send);
  stream_free(c->stream);
  c->stream = NULL;
  client_kick(c);
}

static bool
awaits_nobody(const struct connection *conn)
{
  return conn->client.nops == 0 &&
         !(conn->negotiation && negotiate_is_waiting(conn->negotiation));
}

/* Dead: whoever still refers to it will kick it. */
static void
free_unused(struct connection *conn)
{
  struct client *c = &conn->client;
  struct host *host = c->host;
  struct peer *peer = conn->peer;

  if (!awaits_nobody(conn))
    return;
  negotiate_free(conn->negotiation);
  assert(c->account.bytes == 0);
  if (c->export)
    export_unref(host->exports, c->export);
  TAILQ_REMOVE(&c->worker->connections, conn, link);
  free(conn);
  host->left(host, peer);
}

static void
linger(struct connection *conn)
{
  const struct stream *s = conn->client.stream;

  if (!stream_throw_away(s) || stream_all_arrived(s) ||
      shutdown(s->fd, SHUT_WR) < 0) {
    kill_now(conn);
    return;
  }
  conn->state = CONNECTION_LINGERING;
  set_timer(conn, LINGER_MSEC);
}

/* Is everything done and sent? */
static void
finish_ending(struct connection *conn)
{
  struct stream *s = conn->client.stream;

  if (conn->state != CONNECTION_ENDING || !awaits_nobody(conn) ||
      !send_is_empty(&conn->client.send))
    return;
  if (s->ops->finish)
    s->ops->finish(s);
  if (conn->stopping)
    linger(conn);
  else
    kill_now(conn);
}

/* No more input: dies when all is finished and sent. */
static void
end(struct connection *conn)
{
  if (conn->state >= CONNECTION_ENDING)
    return;
  conn->state = CONNECTION_ENDING;
  receive_clear(&conn->receiver, &conn->client);
  requests_clear(&conn->requests);
  set_timer(conn, ENDING_MSEC);
  client_kick(&conn->client);
}

/* What is held was received, and has its turn yet. */
static void
stop_when_taken(struct connection *conn)
{
  if (conn->stopping && conn->state == CONNECTION_SERVING &&
      !receive_is_holding(&conn->receiver))
    end(conn);
}

static void
shut_down(struct connection *conn)
{
  if (conn->state >= CONNECTION_ENDING)
    return;
  conn->stopping = true;
  if (conn->negotiation)
    negotiate_shutdown(conn->negotiation);
  stop_when_taken(conn);
}

void
connections_shut_down(struct worker *worker)
{
  struct connection *conn;

  TAILQ_FOREACH(conn, &worker->connections, link)
    shut_down(conn);
}

void
connections_hurry(struct worker *worker)
{
  struct connection *conn;

  TAILQ_FOREACH(conn, &worker->connections, link)
    if (conn->state < CONNECTION_SERVING)
      end(conn);
}

/* --------------------------------------------------------------- handshake */

/* The handshake is over, but for an answer that comes yet. */
static void
drop_negotiation(struct connection *conn)
{
  if (!conn->negotiation || negotiate_is_waiting(conn->negotiation))
    return;
  negotiate_free(conn->negotiation);
  conn->negotiation = NULL;
}

static void
begin_tls(struct connection *conn)
{
  struct client *c = &conn->client;
  const struct server_config *config = c->host->config;
  struct stream *tls = NULL;

  /* The go-ahead is a few bytes; who does not take them has pipelined what must
   * not be pipelined. */
  if (client_send(c) && config->tls_stream)
    tls = config->tls_stream(config->tls_opaque, c->stream->fd);
  if (!tls) {
    client_fail(c, "TLS cannot begin");
    return;
  }
  stream_release(c->stream);
  c->stream = tls;
  conn->state = CONNECTION_SECURING;
}

/* What the handshake has come to; whether it takes more bytes. */
static bool
act(struct connection *conn, enum negotiate_event event)
{
  switch (event) {
  case NEGOTIATE_MORE:
    return true;
  case NEGOTIATE_WAIT:
    return false;
  case NEGOTIATE_TLS:
    begin_tls(conn);
    return false;
  case NEGOTIATE_READY:
    conn->state = CONNECTION_SERVING;
    drop_negotiation(conn);
    if (conn->stopping)
      end(conn);
    return false;
  case NEGOTIATE_CLOSE:
    end(conn);
    return false;
  }
  return false;
}

/* Goes on with the negotiation of TLS. */
static void
secure(struct connection *conn)
{
  struct client *c = &conn->client;
  struct stream *s = c->stream;
  const int r = s->ops->handshake ? s->ops->handshake(s) : 0;

  if (r == -EAGAIN)
    return;
  if (r < 0) {
    client_fail(c, "the negotiation of TLS has failed");
    return;
  }
  conn->state = CONNECTION_NEGOTIATING;
  act(conn, negotiate_tls_up(conn->negotiation));
}

static enum receive_verdict
take_options(struct connection *conn, const unsigned char *p, size_t n,
             size_t *used)
{
  const bool more = act(conn, negotiate_feed(conn->negotiation, p, n, used));

  if (client_has_failed(&conn->client))
    return RECEIVE_FAULT;
  switch (conn->state) {
  case CONNECTION_NEGOTIATING:
    return more ? RECEIVE_MORE : RECEIVE_HOLD;
  case CONNECTION_SECURING:
    /* Bytes behind STARTTLS were not encrypted: somebody put them there. */
    return *used < n ? RECEIVE_FAULT : RECEIVE_MORE;
  case CONNECTION_SERVING:
    return RECEIVE_MORE;
  default:
    return RECEIVE_END;
  }
}

/* ------------------------------------------------------------------- input */

static enum receive_verdict
take(void *of, struct buf *input, const unsigned char *p, size_t n,
     size_t *used)
{
  struct connection *conn = of;

  if (conn->state == CONNECTION_NEGOTIATING) {
    const enum receive_verdict verdict = take_options(conn, p, n, used);
    if (verdict != RECEIVE_MORE || conn->state != CONNECTION_SERVING)
      return verdict;
  }
  return requests_take(&conn->requests, input, p, n, used);
}

static unsigned char *
place(void *of, size_t *len)
{
  return requests_place(&((struct connection *)of)->requests, len);
}

static enum receive_verdict
took(void *of, size_t n)
{
  return requests_took(&((struct connection *)of)->requests, n);
}

static void
yield_for(struct connection *conn, unsigned msec)
{
  conn->yielding = true;
  set_timer(conn, msec);
}

/* Nothing of this connection will change soon enough by itself: look again. */
static void
schedule(struct connection *conn)
{
  const struct client *c = &conn->client;
  const struct stream *s = c->stream;

  if (conn->state > CONNECTION_SERVING || c->send.blocked)
    return;
  if (!receive_is_holding(&conn->receiver)) {
    /* TLS may hold bytes that the socket will not announce again. */
    if (s->ops->pending && s->ops->pending(c->stream))
      yield_for(conn, 0);
  } else if (conn->requests.yielding) {
    yield_for(conn, 0);
  } else if (c->nops == 0 && conn->state == CONNECTION_SERVING &&
             send_is_empty(&c->send)) {
    yield_for(conn, RETRY_MSEC);
  }
}

static void
read_some(struct connection *conn)
{
  struct client *c = &conn->client;

  requests_begin_turn(&conn->requests);
  const enum receive_verdict verdict =
    receive(&conn->receiver, c, &consumer, conn,
            conn->stopping && conn->state == CONNECTION_SERVING);

  if (conn->receiver.at_end)
    atomic_store_explicit(&c->cancelled, true, memory_order_relaxed);
  if (verdict == RECEIVE_FAULT ||
      (verdict == RECEIVE_END && conn->state < CONNECTION_SERVING))
    client_fail(c, "its bytes make no sense, or it has gone");
  else if (verdict == RECEIVE_END)
    end(conn);
  if (!client_has_failed(c))
    schedule(conn);
}

/* ------------------------------------------------------------------ events */

static void
want(struct event *ev, bool wanted)
{
  if (wanted == (event_pending(ev, EV_READ | EV_WRITE, NULL) != 0))
    return;
  if (wanted)
    event_add(ev, NULL);
  else
    event_del(ev);
}

/* Waits for what the state says. */
static void
set_interest(struct connection *conn)
{
  const struct client *c = &conn->client;
  const struct stream *s = c->stream;
  bool in = false, out = false;

  if (conn->state == CONNECTION_LINGERING) {
    in = true;
  } else if (conn->state == CONNECTION_SECURING ||
             (conn->state != CONNECTION_ENDING &&
              !receive_is_holding(&conn->receiver) && !c->send.blocked)) {
    if (s->recv_want == POLLOUT)
      out = true;
    else
      in = true;
  }
  if (c->send.blocked) {
    if (s->send_want == POLLIN)
      in = true;
    else
      out = true;
  }
  want(&conn->readable, in);
  want(&conn->writable, out);
}

static bool
may_read(const struct connection *conn, bool readable)
{
  return (conn->state == CONNECTION_NEGOTIATING ||
          conn->state == CONNECTION_SERVING) &&
         !conn->client.send.blocked &&
         (receive_is_holding(&conn->receiver) ? !conn->yielding : readable);
}

/* What the client, or another thread, has made possible. */
static void
go_on(struct connection *conn, bool readable)
{
  struct client *c = &conn->client;

  if (conn->state == CONNECTION_SECURING)
    secure(conn);
  else if (conn->state == CONNECTION_NEGOTIATING)
    act(conn, negotiate_next(conn->negotiation));
  if (!send_is_empty(&c->send))
    client_send(c);
  if (client_has_failed(c))
    return;
  if (c->stream->ops->pending)
    readable |= c->stream->ops->pending(c->stream);
  if (may_read(conn, readable))
    read_some(conn);
  if (conn->state == CONNECTION_LINGERING && !stream_throw_away(c->stream))
    client_fail(c, "it has gone");
  stop_when_taken(conn);
  if (c->send.blocked || send_is_empty(&c->send))
    return;
  client_send(c);
  /* What was held back for want of memory may be possible now. */
  if (receive_is_holding(&conn->receiver) && !c->send.blocked &&
      !conn->yielding)
    client_kick(c);
}

/* Everything that there is to do, in this order. */
static void
advance(struct connection *conn, bool readable)
{
  struct client *c = &conn->client;

  if (conn->state == CONNECTION_DEAD)
    return;
  if (!client_has_failed(c))
    go_on(conn, readable);
  if (!client_has_failed(c))
    finish_ending(conn);
  if (client_has_failed(c)) {
    kill_now(conn);
    return;
  }
  if (conn->state == CONNECTION_ENDING)
    drop_negotiation(conn);
  set_interest(conn);
}

/* TLS may want the other direction than the one that is going on, so either
 * readiness may mean either: both are tried. */
static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
  struct connection *conn = arg;
  struct loop *loop = conn->client.loop;

  (void)fd;
  (void)what;
  advance(conn, true);
  loop_settle(loop);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
  struct connection *conn = arg;
  struct loop *loop = conn->client.loop;

  (void)fd;
  (void)what;
  advance(conn, conn->client.stream->recv_want == POLLOUT);
  loop_settle(loop);
}

static void
on_kick(struct task *task)
{
  struct connection *conn = CONTAINER_OF(task, struct connection, client.kick);

  conn->client.kicked = false;
  advance(conn, false);
  if (conn->state == CONNECTION_DEAD && !conn->client.kicked)
    free_unused(conn);
}

/* For the end, or for the next turn. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
  struct connection *conn = arg;
  struct client *c = &conn->client;
  struct loop *loop = c->loop;

  (void)fd;
  (void)what;
  if (conn->state == CONNECTION_ENDING && c->nops > 0 && !c->send.blocked) {
    set_timer(conn, ENDING_MSEC); /* the disk takes long */
  } else if (conn->state >= CONNECTION_ENDING) {
    kill_now(conn);
  } else if (conn->yielding) {
    conn->yielding = false;
    advance(conn, true);
  }
  loop_settle(loop);
}

/* ------------------------------------------------------------------- birth */

static void
assign_events(struct connection *conn)
{
  struct event_base *base = conn->client.loop->base;
  const int fd = conn->client.stream->fd;

  event_assign(&conn->readable, base, fd, EV_READ | EV_PERSIST, on_readable,
               conn);
  event_assign(&conn->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable,
               conn);
  evtimer_assign(&conn->timer, base, on_timer, conn);
}

static void
init_client(struct client *c, struct worker *worker, struct stream *stream)
{
  c->loop = worker->loop;
  c->worker = worker;
  c->host = worker->host;
  c->stream = stream;
  c->account.budget = worker->host->budget;
  c->account.bufs = &worker->loop->bufs;
  send_init(&c->send, &c->account);
  c->kick.run = on_kick;
}

void
connection_new(struct worker *worker, struct stream *stream,
               struct peer *peer)
{
  struct connection *conn = calloc(1, sizeof *conn);

  if (!conn) {
    stream_free(stream);
    worker->host->left(worker->host, peer);
    return;
  }
  init_client(&conn->client, worker, stream);
  conn->peer = peer;
  requests_init(&conn->requests, &conn->client);
  TAILQ_INSERT_TAIL(&worker->connections, conn, link);
  assign_events(conn);
  conn->negotiation = negotiate_new(&conn->client);
  if (!conn->negotiation)
    client_fail(&conn->client, "no memory for its handshake");
  if (atomic_load(&worker->host->stopping))
    shut_down(conn);
  advance(conn, false);
}
