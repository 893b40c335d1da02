/* SPDX-License-Identifier: BSD-2-Clause */
/* connection.c: see connection.h: birth and death, events, deadlines. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "client/connection.h"
#include "catalog/catalog.h"
#include "client/op.h"
#include "net/address_limit.h"
#include "server.h"

/* How long a client may take to fetch the last replies, */
#define ENDING_MSEC 10000
/* and to acknowledge them and close its end. */
#define LINGER_MSEC 500

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_timer(evutil_socket_t fd, short what, void *arg);
static void on_kick(struct task *task);

/* ------------------------------------------------------------- life, death */

static void
assign_events(struct connection *conn)
{
  struct event_base *base = conn->loop->base;
  const int fd = conn->stream->fd;

  event_assign(&conn->readable, base, fd, EV_READ | EV_PERSIST, on_readable,
               conn);
  event_assign(&conn->writable, base, fd, EV_WRITE | EV_PERSIST, on_writable,
               conn);
}

int
connection_new(struct loop *loop, struct stream *stream, struct peer *peer)
{
  struct connection *conn = calloc(1, sizeof *conn);
  struct server *server = loop->server;

  if (!conn) {
    stream_free(stream);
    server_left(server, peer);
    return -ENOMEM;
  }
  conn->loop = loop;
  conn->server = server;
  conn->stream = stream;
  conn->peer = peer;
  conn->state = CONNECTION_HAGGLING;
  conn->kick.run = on_kick;
  TAILQ_INIT(&conn->out);
  TAILQ_INSERT_TAIL(&loop->connections, conn, link);
  assign_events(conn);
  evtimer_assign(&conn->timer, loop->base, on_timer, conn);

  conn->awaits++;
  const int r = haggle_begin(conn);
  if (r < 0)
    connection_kill(conn);
  else
    connection_interest(conn);
  if (atomic_load(&server->stopping) && !connection_is_dead(conn))
    connection_shutdown(conn);
  conn->awaits--;
  connection_reap(conn);
  return r;
}

void
connection_kill(struct connection *conn)
{
  if (connection_is_dead(conn))
    return;
  conn->state = CONNECTION_DEAD;
  atomic_store_explicit(&conn->cancelled, true, memory_order_relaxed);
  event_del(&conn->readable);
  event_del(&conn->writable);
  event_del(&conn->timer);
  conn->awaits++;
  receive_clear(conn);
  output_clear(conn);
  stream_free(conn->stream);
  conn->stream = NULL;
  conn->awaits--;
  connection_reap(conn);
}

void
connection_reap(struct connection *conn)
{
  struct server *server = conn->server;

  if (!connection_is_dead(conn) || conn->nops > 0 || conn->awaits > 0 ||
      conn->kicked)
    return;
  haggle_free(conn);
  assert(conn->bytes == 0);
  if (conn->export)
    export_unref(server->exports, conn->export);
  TAILQ_REMOVE(&conn->loop->connections, conn, link);
  struct peer *peer = conn->peer;
  free(conn);
  server_left(server, peer);
}

/* Throws away what has come, below TLS; false: the client has gone. */
static bool
throw_away(const struct connection *conn)
{
  char bin[4096];
  ssize_t n;

  do
    n = recv(conn->stream->fd, bin, sizeof bin, MSG_DONTWAIT);
  while (n > 0 || (n < 0 && errno == EINTR));
  return n < 0 && errno == EAGAIN;
}

/* Does the client's kernel have all that was sent? */
static bool
all_arrived(const struct connection *conn)
{
  int left;

  return ioctl(conn->stream->fd, SIOCOUTQ, &left) == 0 && left == 0;
}

static void
linger(struct connection *conn)
{
  if (!throw_away(conn) || all_arrived(conn) ||
      shutdown(conn->stream->fd, SHUT_WR) < 0) {
    connection_kill(conn);
    return;
  }
  conn->state = CONNECTION_LINGERING;
  connection_set_timer(conn, LINGER_MSEC);
}

/* Is everything done and sent? */
static void
finish_ending(struct connection *conn)
{
  if (conn->state != CONNECTION_ENDING || conn->nops > 0 || conn->awaits > 1 ||
      !TAILQ_EMPTY(&conn->out))
    return;
  if (conn->stream->ops->finish)
    conn->stream->ops->finish(conn->stream);
  if (conn->stopping)
    linger(conn);
  else
    connection_kill(conn);
}

void
connection_end(struct connection *conn)
{
  if (conn->state >= CONNECTION_ENDING)
    return;
  conn->state = CONNECTION_ENDING;
  receive_clear(conn);
  connection_set_timer(conn, ENDING_MSEC);
  connection_kick(conn);
}

/* What is held was received, and has its turn yet. */
static void
stop_when_taken(struct connection *conn)
{
  if (conn->stopping && conn->state == CONNECTION_SERVING && !conn->held)
    connection_end(conn);
}

void
connection_shutdown(struct connection *conn)
{
  if (conn->state >= CONNECTION_ENDING)
    return;
  conn->stopping = true;
  haggle_shutdown(conn);
  stop_when_taken(conn);
}

void
connection_hurry(struct connection *conn)
{
  if (conn->state < CONNECTION_SERVING)
    connection_end(conn);
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

void
connection_interest(struct connection *conn)
{
  const struct stream *s = conn->stream;
  bool in = false, out = false;

  if (connection_is_dead(conn))
    return;
  if (conn->state == CONNECTION_LINGERING) {
    in = true;
  } else if (conn->state == CONNECTION_SECURING ||
             (conn->state != CONNECTION_ENDING && !conn->held &&
              !conn->blocked)) {
    if (s->recv_want == POLLOUT)
      out = true;
    else
      in = true;
  }
  if (conn->blocked) {
    if (s->send_want == POLLIN)
      in = true;
    else
      out = true;
  }
  want(&conn->readable, in);
  want(&conn->writable, out);
}

/* Everything that there is to do, in this order. */
static void
advance(struct connection *conn, bool readable)
{
  conn->awaits++;
  if (conn->state == CONNECTION_SECURING)
    haggle_secure(conn);
  if (!connection_is_dead(conn) && !TAILQ_EMPTY(&conn->out))
    output_send(conn);
  if (!connection_is_dead(conn) && conn->stream->ops->pending)
    readable |= conn->stream->ops->pending(conn->stream);
  if ((conn->state == CONNECTION_HAGGLING ||
       conn->state == CONNECTION_SERVING) &&
      !conn->blocked && (conn->held ? !conn->yielding : readable))
    receive(conn);
  if (conn->state == CONNECTION_LINGERING && !throw_away(conn))
    connection_kill(conn);
  stop_when_taken(conn);
  if (!connection_is_dead(conn) && !conn->blocked &&
      !TAILQ_EMPTY(&conn->out)) {
    output_send(conn);
    /* What was held back for want of memory may be possible now. */
    if (conn->held && !conn->blocked && !conn->yielding)
      connection_kick(conn);
  }
  finish_ending(conn);
  connection_interest(conn);
  conn->awaits--;
  connection_reap(conn);
}

/* TLS may want the other direction than the one that is going on, so either
 * readiness may mean either: both are tried. */
static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
  struct connection *conn = arg;
  struct loop *loop = conn->loop;

  (void)fd;
  (void)what;
  advance(conn, true);
  loop_settle(loop);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
  struct connection *conn = arg;
  struct loop *loop = conn->loop;

  (void)fd;
  (void)what;
  advance(conn, conn->stream->recv_want == POLLOUT);
  loop_settle(loop);
}

static void
on_kick(struct task *task)
{
  struct connection *conn =
    (struct connection *)((char *)task - offsetof(struct connection, kick));

  conn->kicked = false;
  if (connection_is_dead(conn))
    connection_reap(conn);
  else
    advance(conn, false);
}

void
connection_kick(struct connection *conn)
{
  if (conn->kicked)
    return;
  conn->kicked = true;
  loop_post(conn->loop, &conn->kick);
}

void
connection_set_timer(struct connection *conn, unsigned msec)
{
  const struct timeval tv = {
    .tv_sec = msec / 1000,
    .tv_usec = (suseconds_t)(msec % 1000) * 1000,
  };

  evtimer_add(&conn->timer, &tv);
}

/* For the end, or for the next turn. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
  struct connection *conn = arg;
  struct loop *loop = conn->loop;

  (void)fd;
  (void)what;
  if (conn->state == CONNECTION_ENDING && conn->nops > 0 && !conn->blocked) {
    connection_set_timer(conn, ENDING_MSEC); /* the disk takes long */
  } else if (conn->state >= CONNECTION_ENDING) {
    connection_kill(conn);
  } else if (conn->yielding) {
    conn->yielding = false;
    advance(conn, true);
  }
  loop_settle(loop);
}

/* ------------------------------------------------------------------ memory */

void
connection_charge(struct connection *conn, uint64_t bytes)
{
  conn->bytes += bytes;
  atomic_fetch_add_explicit(&conn->server->bytes, bytes,
                            memory_order_relaxed);
}

void
connection_discharge(struct connection *conn, uint64_t bytes)
{
  assert(conn->bytes >= bytes);
  conn->bytes -= bytes;
  atomic_fetch_sub_explicit(&conn->server->bytes, bytes,
                            memory_order_relaxed);
}

struct buf *
connection_get_buf(struct connection *conn, size_t size)
{
  struct buf *buf = buf_get(&conn->loop->bufs, size);

  if (buf)
    connection_charge(conn, buf_footprint(buf));
  return buf;
}

void
connection_put_buf(struct connection *conn, struct buf *buf)
{
  connection_discharge(conn, buf_footprint(buf));
  buf_unref(&conn->loop->bufs, buf);
}
