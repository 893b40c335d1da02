/* SPDX-License-Identifier: BSD-2-Clause */
/* negotiate.c: drives the handshake (nbd/handshake.h) of a connection: looks
 * exports up, lists them, puts TLS below, sees that it ends in time.  Owns
 * .haggle, which is freed when transmission begins.  On the thread of the
 * connection's loop.
 *
 * An export is opened for GO and EXPORT_NAME alone (.opened, until transmission
 * begins): who only looks, at one or at all of them, locks nobody out. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "catalog/catalog.h"
#include "catalog/list.h"
#include "client/connection.h"
#include "nbd/handshake.h"
#include "nbd/text.h"
#include "server.h"

struct haggle {
  struct event deadline; /* of all of it, TLS included */
  struct nbd_handshake hs;
  struct nbd_out out;
  struct connection *conn;
  struct export *opened;
  struct export_ticket ticket;
  struct export_list list;
  size_t listed;
  bool waiting; /* for .ticket or .list */
};

static bool act(struct connection *conn, enum nbd_event event);

/* What the handshake has to say joins the connection's output. */
static void
move_output(struct connection *conn)
{
  struct nbd_out *out = &conn->haggle->out;

  if (out->failed) {
    connection_kill(conn);
    return;
  }
  if (out->len == 0)
    return;
  unsigned char *p = output_reserve(conn, out->len);
  if (!p) {
    connection_kill(conn);
    return;
  }
  memcpy(p, out->data, out->len);
  output_commit(conn, out->len);
  nbd_out_consume(out, out->len);
}

/* -------------------------------------------------------------------- list */

/* Adds what there is room for; whether all is done. */
static bool
put_list(struct connection *conn)
{
  struct haggle *h = conn->haggle;

  for (; h->listed < h->list.n; h->listed++) {
    const struct export_item *item = &h->list.items[h->listed];
    if (!nbd_text_valid(item->name, strlen(item->name)))
      continue; /* nobody could ask for it */
    if (nbd_handshake_list_item(&h->hs, &h->out, item->name,
                                item->description))
      continue;
    /* The list may be longer than what a client may have waiting: the output
     * takes it, which is bounded by the number of exports. */
    move_output(conn);
    if (connection_is_dead(conn))
      return false;
    if (!nbd_handshake_list_item(&h->hs, &h->out, item->name,
                                 item->description))
      return false;
  }
  return true;
}

static void
on_listed(struct task *task)
{
  struct haggle *h =
    (struct haggle *)((char *)task - offsetof(struct haggle, list.done));
  struct connection *conn = h->conn;

  h->waiting = false;
  if (!connection_is_dead(conn)) {
    enum nbd_event event;
    if (h->list.error < 0)
      event = nbd_handshake_refuse(&h->hs, NBD_REP_ERR_PLATFORM,
                                   "the exports cannot be listed", &h->out);
    else if (put_list(conn))
      event = nbd_handshake_list_end(&h->hs, &h->out);
    else
      event = NBD_EVENT_CLOSE;
    export_list_clear(&h->list);
    if (!connection_is_dead(conn))
      act(conn, event);
    connection_kick(conn);
  }
  conn->awaits--;
  connection_reap(conn);
}

static void
begin_list(struct connection *conn)
{
  struct haggle *h = conn->haggle;

  h->waiting = true;
  conn->awaits++;
  h->listed = 0;
  h->list.loop = conn->loop;
  h->list.done.run = on_listed;
  export_list_begin(&h->list, conn->server->exports, &conn->server->config,
                    conn->server->folder, h->hs.tls);
}

/* ------------------------------------------------------------------ export */

static enum nbd_event
describe(struct haggle *h)
{
  const struct export_facts *facts = &h->ticket.facts;
  const char *name = h->hs.want.name;
  const struct nbd_export_info info = {
    .name = name + (name[0] == '/'),
    .description = facts->description,
    .size = facts->size,
    .flags = NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM |
             NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO |
             NBD_FLAG_SEND_CACHE | NBD_FLAG_CAN_MULTI_CONN |
             (facts->readonly ? NBD_FLAG_READ_ONLY : 0),
    .tls_only = facts->tls_only,
  };

  return nbd_handshake_export(&h->hs, &info, &h->out);
}

static enum nbd_event
refuse(struct haggle *h)
{
  static const uint32_t reply[] = {
    [EXPORT_UNKNOWN] = NBD_REP_ERR_UNKNOWN,
    [EXPORT_TLS_ONLY] = NBD_REP_ERR_TLS_REQD,
    [EXPORT_BUSY] = NBD_REP_ERR_POLICY,
    [EXPORT_BROKEN] = NBD_REP_ERR_PLATFORM,
    [EXPORT_SHUTDOWN] = NBD_REP_ERR_SHUTDOWN,
  };

  return nbd_handshake_refuse(&h->hs, reply[h->ticket.refusal],
                              h->ticket.text, &h->out);
}

static void
drop_opened(struct haggle *h)
{
  if (h->opened)
    export_unref(h->conn->server->exports, h->opened);
  h->opened = NULL;
}

static void
on_export(struct task *task)
{
  struct haggle *h =
    (struct haggle *)((char *)task - offsetof(struct haggle, ticket.done));
  struct connection *conn = h->conn;

  h->waiting = false;
  const bool fine = h->ticket.refusal == EXPORT_FINE;
  if (fine && h->ticket.want == EXPORT_OPENED)
    h->opened = h->ticket.export;
  if (!connection_is_dead(conn)) {
    act(conn, fine ? describe(h) : refuse(h));
    connection_kick(conn);
  }
  conn->awaits--;
  connection_reap(conn);
}

static void
begin_export(struct connection *conn)
{
  static const enum export_want want[] = {
    [NBD_WANT_INFO] = EXPORT_FACTS,
    [NBD_WANT_GO] = EXPORT_OPENED,
    [NBD_WANT_EXPORT_NAME] = EXPORT_OPENED,
    [NBD_WANT_META] = EXPORT_EXISTS,
  };
  struct haggle *h = conn->haggle;

  drop_opened(h);
  h->waiting = true;
  conn->awaits++;
  h->ticket.loop = conn->loop;
  h->ticket.want = want[h->hs.want.purpose];
  h->ticket.facts = (struct export_facts){ .size = 0 };
  h->ticket.done.run = on_export;
  exports_get(conn->server->exports, h->hs.want.name, h->hs.tls, &h->ticket);
}

/* --------------------------------------------------------------------- TLS */

static void
begin_tls(struct connection *conn)
{
  const struct server_config *config = &conn->server->config;

  /* The go-ahead is a few bytes; who does not take them has pipelined what must
   * not be pipelined. */
  output_send(conn);
  if (connection_is_dead(conn))
    return;
  struct stream *tls =
    TAILQ_EMPTY(&conn->out) && config->tls_stream
      ? config->tls_stream(config->tls_opaque, conn->stream->fd)
      : NULL;
  if (!tls) {
    connection_kill(conn);
    return;
  }
  stream_release(conn->stream);
  conn->stream = tls;
  conn->state = CONNECTION_SECURING;
}

void
haggle_secure(struct connection *conn)
{
  struct stream *s = conn->stream;
  const int r = s->ops->handshake ? s->ops->handshake(s) : 0;

  if (r == -EAGAIN)
    return;
  if (r < 0) {
    connection_kill(conn);
    return;
  }
  conn->state = CONNECTION_HAGGLING;
  drop_opened(conn->haggle);
  act(conn, nbd_handshake_tls_up(&conn->haggle->hs));
}

/* ------------------------------------------------------------------ events */

static void
serve(struct connection *conn)
{
  struct haggle *h = conn->haggle;

  conn->session = h->hs.session;
  conn->export = h->opened;
  h->opened = NULL;
  conn->state = CONNECTION_SERVING;
  haggle_free(conn);
  if (conn->stopping)
    connection_end(conn);
}

/* Returns whether the handshake takes more input now. */
static bool
act(struct connection *conn, enum nbd_event event)
{
  struct haggle *h = conn->haggle;

  for (;;) {
    move_output(conn);
    if (connection_is_dead(conn))
      return false;
    switch (event) {
    case NBD_EVENT_MORE:
      return true;
    case NBD_EVENT_FLUSH:
      output_send(conn);
      return !connection_is_dead(conn) && !conn->blocked;
    case NBD_EVENT_LIST:
      begin_list(conn);
      return false;
    case NBD_EVENT_EXPORT:
      begin_export(conn);
      return false;
    case NBD_EVENT_STARTTLS:
      begin_tls(conn);
      return false;
    case NBD_EVENT_READY:
      serve(conn);
      return false;
    case NBD_EVENT_CLOSE:
      log_debug("handshake: %s",
                nbd_close_name((enum nbd_close)h->hs.reason));
      connection_end(conn);
      return false;
    }
  }
}

size_t
haggle_feed(struct connection *conn, const unsigned char *p, size_t n)
{
  struct haggle *h = conn->haggle;
  size_t at = 0, used;
  bool more = !h->waiting;

  while (more && at < n) {
    const enum nbd_event event =
      nbd_handshake_feed(&h->hs, p + at, n - at, &used, &h->out);
    at += used;
    more = act(conn, event);
  }
  /* Bytes behind STARTTLS were not encrypted: somebody put them there. */
  if (conn->state == CONNECTION_SECURING && at < n)
    connection_kill(conn);
  return at;
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
  struct connection *conn = arg;
  struct loop *loop = conn->loop;

  (void)fd;
  (void)what;
  if (conn->state < CONNECTION_SERVING) {
    log_debug("a client took too long over its handshake");
    connection_kill(conn);
  }
  loop_settle(loop);
}

int
haggle_begin(struct connection *conn)
{
  const struct timeval limit = {
    .tv_sec = conn->server->config.limits.handshake_sec,
  };
  struct haggle *h = calloc(1, sizeof *h);
  if (!h)
    return -ENOMEM;
  h->conn = conn;
  evtimer_assign(&h->deadline, conn->loop->base, on_deadline, conn);
  evtimer_add(&h->deadline, &limit);
  h->out.max = NBD_HANDSHAKE_OUT_MAX;
  nbd_handshake_init(&h->hs, conn->server->policy, false);
  conn->haggle = h;
  act(conn, nbd_handshake_start(&h->hs, &h->out));
  if (!connection_is_dead(conn))
    output_send(conn);
  return connection_is_dead(conn) ? -ECONNRESET : 0;
}

void
haggle_shutdown(struct connection *conn)
{
  if (conn->haggle)
    nbd_handshake_shutdown(&conn->haggle->hs);
}

void
haggle_free(struct connection *conn)
{
  struct haggle *h = conn->haggle;

  if (!h)
    return;
  event_del(&h->deadline);
  drop_opened(h);
  export_list_clear(&h->list);
  nbd_handshake_free(&h->hs);
  nbd_out_free(&h->out);
  free(h);
  conn->haggle = NULL;
}
