/* SPDX-License-Identifier: BSD-2-Clause */
/* negotiate.c: see negotiate.h.
 *
 * An export is opened for GO and EXPORT_NAME alone (.opened, until transmission
 * begins): who only looks, at one or at all of them, locks nobody out. */
#include "config.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/connection/negotiate.h"
#include "base/clock.h"
#include "base/container.h"
#include "catalog/catalog.h"
#include "catalog/list.h"
#include "client/client.h"
#include "client/host.h"
#include "config/server_config.h"
#include "nbd/handshake/handshake.h"

struct negotiation {
  struct event deadline; /* of all that is the client's part, TLS included */
  uint64_t left_ns, since_ns; /* of that, and when it began to count */
  struct nbd_handshake hs;
  struct nbd_out out;
  struct client *client;
  struct export *opened;
  struct export_ticket ticket;
  struct export_list list;
  uint32_t ntold;                   /* of .hs.nerrors, the host knows */
  char user[VISITOR_IDENTITY_SIZE]; /* the identity without TLS; "": unknown */
  bool waiting;                     /* for .ticket or .list */
  bool listing;                     /* .list is being sent */
  enum negotiate_event next;
};

static enum negotiate_event settle(struct negotiation *n,
                                   enum nbd_event event);

/* ------------------------------------------------------------------- facts */

static const char *
without_prefix(const char *name)
{
  return strncmp(name, "NBD_", 4) == 0 ? name + 8 : name; /* _OPT_, _REP_ */
}

/* An option got an error.  export, why: NULL where that is not known. */
static void
tell_error(struct negotiation *n, uint32_t option, uint32_t error,
           const char *export, const char *why, enum fact_weight weight)
{
  struct client *c = n->client;
  struct fact fact = {
    .kind = FACT_FAILED,
    .export = export,
    .request = without_prefix(nbd_opt_name(option)),
    .error = without_prefix(nbd_rep_name(error)),
    .why = why,
    .weight = weight,
  };

  c->nfailed++;
  client_tell(c, &fact);
}

/* Errors that the handshake gave by itself.  Of several at a time the last. */
static void
tell_own_errors(struct negotiation *n)
{
  const struct nbd_handshake *hs = &n->hs;

  if (n->ntold == hs->nerrors || client_has_failed(n->client))
    return;
  n->ntold = hs->nerrors;
  const bool notable = hs->error == NBD_REP_ERR_TLS_REQD ||
                       hs->error == NBD_REP_ERR_INVALID ||
                       hs->error == NBD_REP_ERR_TOO_BIG;
  tell_error(n, hs->error_option, hs->error, NULL,
             hs->error == NBD_REP_ERR_TLS_REQD ? "TLS is required"
             : notable                         ? "the option is malformed"
                                               : "it is not to be had here",
             notable ? FACT_NOTABLE : FACT_ORDINARY);
}

/* What the handshake has to say joins the client's output. */
static void
move_output(struct negotiation *n)
{
  struct client *c = n->client;
  struct nbd_out *out = &n->out;
  unsigned char *p = NULL;

  if (out->len == 0 && !out->failed)
    return;
  if (!out->failed)
    p = send_reserve(&c->send, out->len);
  if (!p) {
    client_fail(c, "no memory for a reply");
    return;
  }
  memcpy(p, out->data, out->len);
  send_commit(&c->send, out->len);
  nbd_out_consume(out, out->len);
}

/* The client's time runs, */
static void
start_clock(struct negotiation *n)
{
  const struct timeval left = {
    .tv_sec = (time_t)(n->left_ns / 1000000000),
    .tv_usec = (suseconds_t)(n->left_ns % 1000000000 / 1000),
  };

  n->since_ns = clock_ns();
  evtimer_add(&n->deadline, &left);
}

/* and does not while it waits for us: a disk may take as long as it likes. */
static void
stop_clock(struct negotiation *n)
{
  const uint64_t spent = clock_ns() - n->since_ns;

  n->left_ns -= spent < n->left_ns ? spent : n->left_ns;
  event_del(&n->deadline);
}

void
negotiate_hold(struct negotiation *n)
{
  stop_clock(n);
}

void
negotiate_unhold(struct negotiation *n)
{
  start_clock(n);
}

/* What was waited for has come. */
static void
go_on(struct negotiation *n, enum nbd_event event)
{
  start_clock(n);
  n->next = settle(n, event);
  client_kick(n->client);
}

/* -------------------------------------------------------------------- list */

/* Without TLS a Unix socket's client is known by its user. */
static struct asker
asker_of(struct negotiation *n)
{
  const struct visitor *visitor = &n->client->visitor;
  const char *identity = client_identity(n->client);

  if (!identity && n->user[0] != '\0')
    identity = n->user;
  else if (!identity)
    identity = visitor_identity(visitor, n->user, sizeof n->user);
  return (struct asker){
    .identity = identity,
    .issuer = client_issuer(n->client),
    .tls = n->hs.tls,
    .address = visitor->len > 0 ? &visitor->address.any : NULL,
    .address_len = visitor->len,
  };
}

static void
end_list(struct negotiation *n)
{
  n->listing = false;
  export_list_clear(&n->list);
  go_on(n, n->list.error < 0
             ? nbd_handshake_refuse(&n->hs, NBD_REP_ERR_PLATFORM,
                                    "the exports cannot be listed", &n->out)
             : nbd_handshake_list_end(&n->hs, &n->out));
}

bool
negotiate_say_more(struct negotiation *n)
{
  struct client *c = n->client;
  ssize_t len = 0;

  if (!n->listing)
    return false;
  if (n->list.error == 0) {
    unsigned char *p = send_reserve(&c->send, EXPORT_LIST_ROOM);
    len = p ? export_list_next(&n->list, c->host->catalog, p, EXPORT_LIST_ROOM)
            : -ENOMEM;
  }
  if (len < 0)
    client_fail(c, "no memory for a list");
  else if (len == 0)
    end_list(n);
  else
    send_commit(&c->send, (size_t)len);
  return len > 0;
}

static void
on_listed(struct task *task)
{
  struct negotiation *n = CONTAINER_OF(task, struct negotiation, list.done);

  n->waiting = false;
  n->listing = true;
  client_kick(n->client);
}

static void
begin_list(struct negotiation *n)
{
  stop_clock(n);
  n->waiting = true;
  n->list.asker = asker_of(n);
  n->list.loop = n->client->loop;
  n->list.done.run = on_listed;
  export_list_begin(&n->list, n->client->host->catalog);
}

/* ------------------------------------------------------------------ export */

/* With a note behind it; what the protocol cannot carry is cut off later. */
#define DESCRIPTION_SIZE (NBD_MAX_STRING + 256)

static enum nbd_event
describe(struct negotiation *n)
{
  const struct export_facts *facts = &n->ticket.facts;
  const char *name = n->hs.want.name;
  const char *description = facts->description ? facts->description : "";
  char text[DESCRIPTION_SIZE];

  snprintf(text, sizeof text, facts->note && *description ? "%s (%s)" : "%s%s",
           description, facts->note ? facts->note : "");
  const struct nbd_export_info info = {
    .name = name + (name[0] == '/'),
    .description = text,
    .size = facts->size,
    .flags = NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM |
             NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO |
             NBD_FLAG_SEND_CACHE | NBD_FLAG_CAN_MULTI_CONN |
             (facts->readonly ? NBD_FLAG_READ_ONLY : 0),
    .tls_only = facts->tls_only,
  };

  return nbd_handshake_export(&n->hs, &info, &n->out);
}

static enum nbd_event
refuse(struct negotiation *n)
{
  static const uint32_t reply[] = {
    [EXPORT_UNKNOWN] = NBD_REP_ERR_UNKNOWN,
    [EXPORT_TLS_ONLY] = NBD_REP_ERR_TLS_REQD,
    [EXPORT_BUSY] = NBD_REP_ERR_POLICY,
    [EXPORT_SHORT] = NBD_REP_ERR_PLATFORM,
    [EXPORT_BROKEN] = NBD_REP_ERR_PLATFORM,
    [EXPORT_TAKEN] = NBD_REP_ERR_POLICY,
    [EXPORT_FULL] = NBD_REP_ERR_PLATFORM,
    [EXPORT_SHUTDOWN] = NBD_REP_ERR_SHUTDOWN,
  };

  const enum export_refusal refusal = n->ticket.refusal;

  tell_error(n, n->hs.option, reply[refusal], n->hs.want.name,
             export_refusal_text(refusal),
             refusal == EXPORT_SHUTDOWN ? FACT_ORDINARY : FACT_NOTABLE);
  const enum nbd_event event =
    nbd_handshake_refuse(&n->hs, reply[refusal], export_refusal_text(refusal),
                         &n->out);
  n->ntold = n->hs.nerrors;
  return event;
}

static void
drop_opened(struct negotiation *n)
{
  if (n->opened)
    export_unref(n->opened);
  n->opened = NULL;
}

/* What the ticket has come to. */
static enum nbd_event
answer(struct negotiation *n)
{
  const bool fine = n->ticket.refusal == EXPORT_FINE;

  if (fine && n->ticket.want == EXPORT_OPENED)
    n->opened = n->ticket.export;
  if (client_has_failed(n->client))
    return NBD_EVENT_CLOSE;
  return fine ? describe(n) : refuse(n);
}

static void
on_export(struct task *task)
{
  struct negotiation *n = CONTAINER_OF(task, struct negotiation, ticket.done);

  n->waiting = false;
  go_on(n, answer(n));
}

/* An image that stays open needs no waiting. */
static enum negotiate_event
begin_export(struct negotiation *n)
{
  static const enum export_want want[] = {
    [NBD_WANT_INFO] = EXPORT_FACTS,
    [NBD_WANT_GO] = EXPORT_OPENED,
    [NBD_WANT_EXPORT_NAME] = EXPORT_OPENED,
    [NBD_WANT_META] = EXPORT_EXISTS,
  };

  const struct asker asker = asker_of(n);

  drop_opened(n);
  n->ticket.loop = n->client->loop;
  n->ticket.want = want[n->hs.want.purpose];
  n->ticket.facts = (struct export_facts){ .size = 0 };
  n->ticket.done.run = on_export;
  if (catalog_get(n->client->host->catalog, &asker, n->hs.want.name,
                  &n->ticket))
    return settle(n, answer(n));
  stop_clock(n);
  n->waiting = true;
  return NEGOTIATE_WAIT;
}

/* ------------------------------------------------------------------ events */

static enum negotiate_event
ready(struct negotiation *n)
{
  struct client *c = n->client;

  c->session = n->hs.session;
  client_use(c, n->opened);
  n->opened = NULL;
  return NEGOTIATE_READY;
}

static enum negotiate_event
settle(struct negotiation *n, enum nbd_event event)
{
  struct client *c = n->client;

  tell_own_errors(n);
  if (!client_has_failed(c))
    move_output(n);
  if (client_has_failed(c))
    return NEGOTIATE_WAIT;
  switch (event) {
  case NBD_EVENT_MORE:
    return NEGOTIATE_MORE;
  case NBD_EVENT_FLUSH:
    return client_send(c) ? NEGOTIATE_MORE : NEGOTIATE_WAIT;
  case NBD_EVENT_LIST:
    begin_list(n);
    return NEGOTIATE_WAIT;
  case NBD_EVENT_EXPORT:
    return begin_export(n);
  case NBD_EVENT_STARTTLS:
    return NEGOTIATE_TLS;
  case NBD_EVENT_READY:
    return ready(n);
  case NBD_EVENT_CLOSE:
    break;
  }
  return NEGOTIATE_CLOSE;
}

enum negotiate_event
negotiate_feed(struct negotiation *n, const unsigned char *p, size_t len,
               size_t *used)
{
  enum negotiate_event event =
    n->waiting || n->listing || n->next != NEGOTIATE_MORE ? NEGOTIATE_WAIT
                                                          : NEGOTIATE_MORE;
  size_t taken;

  *used = 0;
  while (event == NEGOTIATE_MORE && *used < len) {
    const enum nbd_event what =
      nbd_handshake_feed(&n->hs, p + *used, len - *used, &taken, &n->out);
    *used += taken;
    event = settle(n, what);
  }
  return event;
}

enum negotiate_event
negotiate_next(struct negotiation *n)
{
  const enum negotiate_event event = n->next;

  n->next = NEGOTIATE_MORE;
  return event;
}

enum negotiate_event
negotiate_tls_up(struct negotiation *n)
{
  drop_opened(n);
  return settle(n, nbd_handshake_tls_up(&n->hs));
}

void
negotiate_shutdown(struct negotiation *n)
{
  nbd_handshake_shutdown(&n->hs);
}

const char *
negotiate_why(const struct negotiation *n)
{
  return nbd_close_name((enum nbd_close)n->hs.reason);
}

bool
negotiate_is_waiting(const struct negotiation *n)
{
  return n->waiting;
}

/* ------------------------------------------------------------ begin and end */

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
  struct negotiation *n = arg;
  struct loop *loop = n->client->loop;

  (void)fd;
  (void)what;
  client_fail(n->client, "it took too long over its handshake");
  loop_settle(loop);
}

struct negotiation *
negotiate_new(struct client *c)
{
  struct negotiation *n = calloc(1, sizeof *n);

  if (!n)
    return NULL;
  n->client = c;
  evtimer_assign(&n->deadline, c->loop->base, on_deadline, n);
  n->left_ns = c->host->config->limits.handshake_sec * UINT64_C(1000000000);
  start_clock(n);
  n->out.max = NBD_HANDSHAKE_OUT_MAX;
  nbd_handshake_init(&n->hs, c->host->policy, false);
  n->next = settle(n, nbd_handshake_start(&n->hs, &n->out));
  return n;
}

void
negotiate_free(struct negotiation *n)
{
  if (!n)
    return;
  event_del(&n->deadline);
  drop_opened(n);
  export_list_clear(&n->list);
  nbd_handshake_free(&n->hs);
  nbd_out_free(&n->out);
  free(n);
}
