/* SPDX-License-Identifier: BSD-2-Clause */
/* cache.h: carries out CACHE.  On the thread of the client's loop. */
#ifndef SERVER_CLIENT_COMMAND_CACHE_H
#define SERVER_CLIENT_COMMAND_CACHE_H

struct client;
struct nbd_request;

void cache_begin(struct client *c, const struct nbd_request *req);

#endif
