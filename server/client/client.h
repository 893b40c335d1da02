/* SPDX-License-Identifier: BSD-2-Clause */
/* client.h: what a command knows of the client that gave it.
 *
 * The connection embeds it, and alone decides what becomes of it.  Others
 * report: client_fail() when the client must be cut off, client_done() when a
 * request has ended.  Both only mark it and post .kick; the connection acts
 * when the loop gets there, so nothing goes away under who reports.  On the
 * thread of the client's loop, but for .cancelled. */
#ifndef SERVER_CLIENT_CLIENT_H
#define SERVER_CLIENT_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/usage.h"
#include "client/fact.h"
#include "client/send.h"
#include "disk/budget.h"
#include "disk/gate.h"
#include "nbd/session.h"

struct export;
struct host;
struct stream;
struct worker;

struct client {
  struct loop *loop;
  struct worker *worker;
  struct host *host;
  struct stream *stream; /* NULL once the client has been cut off */
  struct export *export; /* once it has chosen one: client_use() */
  struct gate_user
    gate; /* of it; counts the requests in flight, which refer to
                          * the client */
  struct nbd_session session;
  struct account account;
  struct sender send;

  struct visitor visitor;
  uint64_t number;                           /* its own: census.h */
  struct fact_tally *tally;                  /* of the loop */
  uint64_t since_ns, read, written, nfailed; /* see fact.h */
  struct usage *usage;           /* of the export by this loop; with .export */
  struct usage_times times;      /* of all its requests */
  uint64_t turn_ns;              /* when it began to take what was received */
  unsigned kinds;                /* bits: of which there are any in .at_once */
  uint16_t at_once[USAGE_KINDS]; /* done since then, without waiting */

  const char *why; /* it must be, or was, cut off; for the log */
  bool kicked;     /* .kick is posted */
  /* Set when the client is cut off, and at an end of file without DISC: data of
   * writes in flight that has not been written is not written. */
  atomic_bool cancelled;
  struct task kick; /* the connection's */
};

/* It uses the export from now on, of which it has the reference. */
void client_use(struct client *c, struct export *export);
/* It has nothing in flight, and uses it no more.  False: what the gate has to
 * say is on its way, and kicks the client yet; then this is to be called
 * again. */
bool client_leave_export(struct client *c);

/* A request goes on; see also client_done(). */
static inline void
client_begin(struct client *c)
{
  gate_begin(&c->gate);
}

static inline unsigned
client_in_flight(const struct client *c)
{
  return c->gate.inside;
}

/* The image is about to be changed, or another to take its place: nothing is
 * begun, and the client is kicked when it may go on. */
static inline bool
client_is_held(const struct client *c)
{
  return c->gate.held;
}

/* It must be cut off; nothing is sent to it any more.  why: a literal. */
void client_fail(struct client *c, const char *why);

static inline bool
client_has_failed(const struct client *c)
{
  return c->why != NULL;
}

/* A request that was in flight has ended. */
void client_done(struct client *c);

/* Has the connection go on when the loop has run what is posted already. */
void client_kick(struct client *c);

/* Sends what the client takes.  False: it does not take all, or has failed. */
bool client_send(struct client *c);

/* Who it has proved to be by TLS; NULL: nobody. */
const char *client_identity(const struct client *c);
/* Who vouches for that, where it is a certificate; or NULL. */
const char *client_issuer(const struct client *c);
/* Tells the host a fact, to which who it is about is added, and how long it has
 * been there.  The client is not cut off yet. */
void client_tell(const struct client *c, struct fact *fact);

/* A turn begins, in which requests are taken, or ends.  They take from then
 * until their answer is put out: for those that wait for nothing, that is the
 * end of the turn. */
static inline void
client_begin_turn(struct client *c)
{
  c->turn_ns = clock_ns();
}

void client_end_turn(struct client *c);

/* A request of a kind has been answered, at once or after it had to wait since
 * began_ns. */
static inline void
client_answered_at_once(struct client *c, unsigned kind)
{
  c->at_once[kind]++;
  c->kinds |= 1U << kind;
}

void client_answered(struct client *c, unsigned kind, uint64_t began_ns);

/* It has read, or written, so many bytes of its export. */
static inline void
client_has_read(struct client *c, uint64_t n)
{
  c->read += n;
  usage_add(&c->tally->read, n);
  usage_add(&c->usage->read, n);
}

static inline void
client_has_written(struct client *c, uint64_t n)
{
  c->written += n;
  usage_add(&c->tally->written, n);
  usage_add(&c->usage->written, n);
}

#endif
