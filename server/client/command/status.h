/* SPDX-License-Identifier: BSD-2-Clause */
/* status.h: carries out BLOCK_STATUS.  On the thread of the client's loop. */
#ifndef SERVER_CLIENT_COMMAND_STATUS_H
#define SERVER_CLIENT_COMMAND_STATUS_H

struct client;
struct nbd_request;

void status_begin(struct client *c, const struct nbd_request *req);

#endif
