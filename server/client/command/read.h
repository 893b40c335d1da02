/* SPDX-License-Identifier: BSD-2-Clause */
/* read.h: carries out READ.  On the thread of the client's loop. */
#ifndef SERVER_CLIENT_COMMAND_READ_H
#define SERVER_CLIENT_COMMAND_READ_H

struct client;
struct nbd_request;

void read_begin(struct client *c, const struct nbd_request *req);

#endif
