/* SPDX-License-Identifier: BSD-2-Clause */
/* negotiate.h: drives the handshake (nbd/handshake/) of a client: looks exports
 * up, lists them, sees that it ends in time.  What becomes of the connection
 * its owner decides, from the events.  On the thread of the client's loop. */
#ifndef SERVER_CLIENT_CONNECTION_NEGOTIATE_H
#define SERVER_CLIENT_CONNECTION_NEGOTIATE_H

#include <stdbool.h>
#include <stddef.h>

struct client;
struct negotiation;

enum negotiate_event {
  NEGOTIATE_MORE,  /* needs more bytes */
  NEGOTIATE_WAIT,  /* takes no bytes now: the owner is kicked when it does, and
                    * asks negotiate_next() */
  NEGOTIATE_TLS,   /* the client is to be secured; then negotiate_tls_up() */
  NEGOTIATE_READY, /* .session and .export of the client are set */
  NEGOTIATE_CLOSE, /* what is to be said has been put out */
};

/* Puts the greeting out.  NULL where memory is short. */
struct negotiation *negotiate_new(struct client *c);
/* Not while negotiate_is_waiting().  NULL is fine. */
void negotiate_free(struct negotiation *n);

/* Takes bytes, of which *used were taken. */
enum negotiate_event negotiate_feed(struct negotiation *n,
                                    const unsigned char *p, size_t len,
                                    size_t *used);
/* What has become of what was waited for; MORE if of nothing. */
enum negotiate_event negotiate_next(struct negotiation *n);

/* Nothing waits to be sent: puts some of an answer out that is longer than may
 * wait.  True: there may be more, to be asked for when others have had their
 * turn. */
bool negotiate_say_more(struct negotiation *n);
/* The client waits for us, or does not any more: its time does not run. */
void negotiate_hold(struct negotiation *n);
void negotiate_unhold(struct negotiation *n);
/* TLS is established. */
enum negotiate_event negotiate_tls_up(struct negotiation *n);
/* The server stops: options are refused. */
void negotiate_shutdown(struct negotiation *n);

/* After CLOSE: why, for the log. */
const char *negotiate_why(const struct negotiation *n);

/* An answer of another thread is under way. */
bool negotiate_is_waiting(const struct negotiation *n);

#endif
