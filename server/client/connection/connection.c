/* SPDX-License-Identifier: BSD-2-Clause */
/* connection.c: see connection.h: birth, events, and what is done in which
 * order. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "client/connection/connection.h"
#include "base/clock.h"
#include "base/container.h"
#include "catalog/generation.h"
#include "client/connection/connection_state.h"
#include "client/connection/ending.h"
#include "client/host.h"
#include "client/worker.h"
#include "config/server_config.h"
#include "net/stream.h"

/* How often who waits for memory looks at those who do not go on. */
#define PRESS_MSEC 250

void
connections_shut_down(struct worker *worker)
{
  struct connection *conn;

  TAILQ_FOREACH(conn, &worker->connections, link)
    ending_shut_down(conn);
}

void
connections_hurry(struct worker *worker)
{
  struct connection *conn;

  TAILQ_FOREACH(conn, &worker->connections, link)
    if (conn->state < CONNECTION_SERVING)
      ending_begin(conn, ending_by_stop);
}

/* --------------------------------------------------------------- handshake */

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

static void
tell(const struct connection *conn, enum fact_kind kind)
{
  const struct client *c = &conn->client;
  struct fact fact = {
    .kind = kind,
    .export = c->export ? c->export->name : NULL,
  };

  client_tell(c, &fact);
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
    connection_drop_negotiation(conn);
    send_allow_early(&conn->client.send, conn->client.stream);
    tell(conn, FACT_CHOSE);
    if (conn->stopping)
      ending_begin(conn, ending_by_stop);
    return false;
  case NEGOTIATE_CLOSE:
    ending_begin(conn, negotiate_why(conn->negotiation));
    return false;
  }
  return false;
}

/* Goes on with the negotiation of TLS, whose steps may take a loop for
 * milliseconds: they have their turns. */
static void
await_turn(struct connection *conn)
{
  if (conn->state != CONNECTION_SECURING || conn->turn.waits ||
      client_has_failed(&conn->client))
    return;
  negotiate_hold(conn->negotiation);
  turns_wait(&conn->client.worker->turns, &conn->turn);
}

static void
secure(struct connection *conn)
{
  struct client *c = &conn->client;
  struct stream *s = c->stream;
  const int r = s->ops->handshake ? s->ops->handshake(s) : 0;

  negotiate_unhold(conn->negotiation);
  if (r == -EAGAIN)
    return;
  if (r < 0) {
    client_fail(c, "the negotiation of TLS has failed");
    return;
  }
  conn->state = CONNECTION_NEGOTIATING;
  act(conn, negotiate_tls_up(conn->negotiation));
}

/* What is behind the option that asks for an export is held: it is for whoever
 * takes bytes when the export is there. */
static enum receive_verdict
take_options(void *of, struct buf *input, const unsigned char *p, size_t n,
             size_t *used)
{
  struct connection *conn = of;
  const bool more = act(conn, negotiate_feed(conn->negotiation, p, n, used));

  (void)input;
  if (client_has_failed(&conn->client))
    return RECEIVE_FAULT;
  switch (conn->state) {
  case CONNECTION_NEGOTIATING:
    return more ? RECEIVE_MORE : RECEIVE_HOLD;
  case CONNECTION_SECURING:
    /* Bytes behind STARTTLS were not encrypted: somebody put them there. */
    return *used < n ? RECEIVE_FAULT : RECEIVE_MORE;
  case CONNECTION_SERVING:
    return RECEIVE_HOLD;
  default:
    return RECEIVE_END;
  }
}

static const struct consumer options_consumer = { .take = take_options };

/* ------------------------------------------------------------------- input */

static void
yield_for(struct connection *conn, unsigned msec)
{
  conn->yielding = true;
  connection_set_timer(conn, msec);
}

/* Does something wait for its turn, so that nothing is read? */
static bool
is_held_up(const struct connection *conn)
{
  return receive_is_holding(&conn->receiver) || conn->requests.stuck;
}

/* Is there nothing of its own that would give memory back? */
static bool
has_nothing_under_way(const struct connection *conn)
{
  return conn->state == CONNECTION_SERVING &&
         client_in_flight(&conn->client) == 0 &&
         send_is_empty(&conn->client.send);
}

static void
schedule(struct connection *conn)
{
  struct client *c = &conn->client;
  const struct stream *s = c->stream;

  if (conn->state > CONNECTION_SERVING || c->send.blocked)
    return;
  if (!is_held_up(conn)) {
    /* TLS may hold bytes that the socket will not announce again. */
    if (s->ops->pending && s->ops->pending(c->stream))
      yield_for(conn, 0);
  } else if (client_is_held(c)) {
    /* It is kicked. */
  } else if (conn->requests.yielding) {
    yield_for(conn, 0);
  } else if (has_nothing_under_way(conn)) {
    budget_wait(&c->account, conn->requests.need);
    connection_set_timer(conn, PRESS_MSEC);
  }
}

/* Options, and the requests behind them, or requests. */
static enum receive_verdict
receive_some(struct connection *conn)
{
  struct client *c = &conn->client;
  bool only_held = conn->stopping;

  if (conn->state != CONNECTION_SERVING) {
    const enum receive_verdict verdict =
      receive(&conn->receiver, c, &options_consumer, conn, false);
    if (conn->state != CONNECTION_SERVING)
      return verdict;
    only_held = true;
  }
  requests_begin_turn(&conn->requests);
  client_begin_turn(c);
  const enum receive_verdict verdict = receive(&conn->receiver, c,
                                               &requests_consumer,
                                               &conn->requests, only_held);
  client_end_turn(c);
  return verdict;
}

static const char *
fault_of(const struct receiver *r)
{
  return r->at_end   ? "it has gone"
         : r->broken ? "the connection broke"
                     : "its bytes make no sense";
}

static void
read_some(struct connection *conn)
{
  struct client *c = &conn->client;
  const enum receive_verdict verdict = receive_some(conn);

  if (conn->receiver.at_end)
    atomic_store_explicit(&c->cancelled, true, memory_order_relaxed);
  if (verdict == RECEIVE_FAULT ||
      (verdict == RECEIVE_END && conn->state < CONNECTION_SERVING))
    client_fail(c, fault_of(&conn->receiver));
  else if (verdict == RECEIVE_END)
    ending_begin(conn, conn->receiver.at_end ? "it has gone without a word"
                                             : "it has disconnected");
  if (!client_has_failed(c))
    schedule(conn);
}

/* ------------------------------------------------------------------ events */

/* Waits for what the state says. */
static void
set_interest(struct connection *conn)
{
  const struct client *c = &conn->client;
  const struct stream *s = c->stream;
  bool in = false, out = false;

  if (conn->state == CONNECTION_LINGERING) {
    in = true;
  } else if (conn->turn.waits) {
    /* What has come is read when it has its turn. */
  } else if (conn->state == CONNECTION_SECURING ||
             (conn->state != CONNECTION_ENDING && !is_held_up(conn) &&
              !c->send.blocked)) {
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
  connection_await(&conn->readable, &conn->awaits_in, in);
  connection_await(&conn->writable, &conn->awaits_out, out);
  connection_await(&conn->gone, &conn->awaits_gone,
                   c->account.waits || conn->turn.waits ||
                     (conn->state == CONNECTION_NEGOTIATING && !in));
}

static bool
may_read(const struct connection *conn, bool readable)
{
  return (conn->state == CONNECTION_NEGOTIATING ||
          conn->state == CONNECTION_SERVING) &&
         !conn->client.send.blocked &&
         (is_held_up(conn) ? !conn->yielding && !conn->client.account.waits
                           : readable);
}

/* What the client, or another thread, has made possible. */
static void
go_on(struct connection *conn, bool readable)
{
  struct client *c = &conn->client;

  if (conn->state == CONNECTION_NEGOTIATING)
    act(conn, negotiate_next(conn->negotiation));
  if (!send_is_empty(&c->send))
    client_send(c);
  if (!client_has_failed(c) && conn->state == CONNECTION_NEGOTIATING &&
      !conn->yielding && send_is_empty(&c->send) &&
      negotiate_say_more(conn->negotiation))
    yield_for(conn, 0);
  if (client_has_failed(c))
    return;
  if (c->stream->ops->pending)
    readable |= c->stream->ops->pending(c->stream);
  if (may_read(conn, readable))
    read_some(conn);
  if (conn->state == CONNECTION_LINGERING && !stream_throw_away(c->stream))
    client_fail(c, "it has gone");
  ending_stop(conn);
  /* Its image is about to be changed, and it does not take what was read. */
  if (client_is_held(c) && client_in_flight(c) > 0 && c->send.blocked &&
      send_detach_some(&c->send))
    client_kick(c);
  if (c->send.blocked || send_is_empty(&c->send))
    return;
  client_send(c);
  /* What was held back for want of memory may be possible now. */
  if (is_held_up(conn) && !c->send.blocked && !conn->yielding)
    client_kick(c);
}

/* Everything that there is to do, in this order. */
static void
advance(struct connection *conn, bool readable)
{
  struct client *c = &conn->client;

  if (conn->state == CONNECTION_DEAD)
    return;
  if (conn->state == CONNECTION_SERVING)
    turns_note_served(&c->worker->turns);
  if (!client_has_failed(c))
    go_on(conn, readable);
  if (conn->state == CONNECTION_ENDING && !client_has_failed(c))
    ending_finish(conn);
  if (client_has_failed(c)) {
    ending_kill(conn);
    return;
  }
  if (conn->state == CONNECTION_ENDING)
    connection_drop_negotiation(conn);
  budget_settle(&c->account, client_in_flight(c) > 0 || client_is_held(c));
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
  await_turn(conn);
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
  await_turn(conn);
  advance(conn, conn->client.stream->recv_want == POLLOUT);
  loop_settle(loop);
}

static void
on_turn(struct turn *turn)
{
  struct connection *conn = CONTAINER_OF(turn, struct connection, turn);

  secure(conn);
  advance(conn, true);
}

/* It waits for memory, for its turn, or for an image to be opened, and its end
 * of the connection is closed. */
static void
on_gone(evutil_socket_t fd, short what, void *arg)
{
  struct connection *conn = arg;
  struct loop *loop = conn->client.loop;

  (void)fd;
  (void)what;
  client_fail(&conn->client, "it has gone");
  advance(conn, false);
  loop_settle(loop);
}

/* There is memory, or this client is to make room. */
static void
on_woken(struct task *task)
{
  struct connection *conn =
    CONTAINER_OF(task, struct connection, client.account.woken);
  struct account *account = &conn->client.account;
  const uint64_t moved = account->moved;
  const bool shed = budget_woken(account);

  advance(conn, true);
  if (shed && account->moved == moved && account->stalled &&
      conn->state != CONNECTION_DEAD) {
    client_fail(&conn->client, "it did not go on while others needed the "
                               "memory that it holds");
    advance(conn, false);
  }
  if (conn->state == CONNECTION_DEAD)
    client_kick(&conn->client);
}

static void
on_kick(struct task *task)
{
  struct connection *conn = CONTAINER_OF(task, struct connection, client.kick);

  conn->client.kicked = false;
  advance(conn, false);
  if (conn->state == CONNECTION_DEAD && !conn->client.kicked)
    ending_free(conn);
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
  if (conn->state >= CONNECTION_ENDING) {
    ending_late(conn);
  } else if (conn->yielding) {
    conn->yielding = false;
    advance(conn, true);
  } else if (c->account.waits) {
    budget_press(c->account.budget);
    connection_set_timer(conn, PRESS_MSEC);
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
  event_assign(&conn->gone, base, fd, EV_CLOSED | EV_PERSIST, on_gone, conn);
  evtimer_assign(&conn->timer, base, on_timer, conn);
}

static void
init_client(struct client *c, struct worker *worker, struct stream *stream)
{
  c->loop = worker->loop;
  c->worker = worker;
  c->host = worker->host;
  c->stream = stream;
  c->tally = worker->tally;
  c->since_ns = clock_ns();
  budget_join(worker->host->budget, &c->account, worker->loop, on_woken);
  send_init(&c->send, &c->account);
  c->kick.run = on_kick;
}

void
connection_new(struct worker *worker, struct stream *stream,
               const struct visitor *visitor, struct peer *peer)
{
  struct connection *conn = calloc(1, sizeof *conn);

  if (!conn) {
    stream_free(stream);
    worker->host->left(worker->host, peer);
    return;
  }
  init_client(&conn->client, worker, stream);
  conn->client.visitor = *visitor;
  conn->client.number = atomic_fetch_add(&worker->host->born, 1) + 1;
  conn->peer = peer;
  conn->turn.run = on_turn;
  tell(conn, FACT_CAME);
  requests_init(&conn->requests, &conn->client);
  TAILQ_INSERT_TAIL(&worker->connections, conn, link);
  assign_events(conn);
  conn->negotiation = negotiate_new(&conn->client);
  if (!conn->negotiation)
    client_fail(&conn->client, "no memory for its handshake");
  if (atomic_load(&worker->host->stopping))
    ending_shut_down(conn);
  advance(conn, false);
}
