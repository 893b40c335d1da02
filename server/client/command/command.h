/* SPDX-License-Identifier: BSD-2-Clause */
/* command.h: which function carries out which of NBD's commands. */
#ifndef SERVER_CLIENT_COMMAND_COMMAND_H
#define SERVER_CLIENT_COMMAND_COMMAND_H

struct client;
struct nbd_request;

/* All of the request is there; not for WRITE and DISC. */
void command_begin(struct client *c, const struct nbd_request *req);

#endif
