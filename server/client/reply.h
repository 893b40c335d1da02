/* SPDX-License-Identifier: BSD-2-Clause */
/* reply.h: answers without data.  On the thread of the client's loop. */
#ifndef SERVER_CLIENT_REPLY_H
#define SERVER_CLIENT_REPLY_H

#include <stdint.h>

struct client;
struct nbd_request;

/* error: an enum nbd_error, NBD_SUCCESS among them; text: for a person, or
 * NULL.  Nothing is said to a client that has failed. */
void reply_error(struct client *c, const struct nbd_request *req,
                 uint32_t error, const char *text);
void reply_ok(struct client *c, const struct nbd_request *req);

#endif
