/* SPDX-License-Identifier: BSD-2-Clause */
/* reply.h: answers without data.  On the thread of the client's loop. */
#ifndef SERVER_CLIENT_REPLY_H
#define SERVER_CLIENT_REPLY_H

#include <stdbool.h>
#include <stdint.h>

struct client;
struct nbd_request;

/* Nothing is said to a client that has failed.  Each error is a fact that the
 * host is told. */

/* error: an enum nbd_error; text: for a person, or NULL. */
void reply_error(struct client *c, const struct nbd_request *req,
                 uint32_t error, const char *text);
/* err: a negative errno. */
void reply_errno(struct client *c, const struct nbd_request *req, int err);
void reply_ok(struct client *c, const struct nbd_request *req);
/* The same from any thread while the request is in flight, to be sent by
 * send_early(); false: it is left to the loop. */
bool reply_early(struct client *c, const struct nbd_request *req);

#endif
