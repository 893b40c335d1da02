/* SPDX-License-Identifier: BSD-2-Clause */
/* write.h: the commands that change a disk: WRITE, TRIM, WRITE_ZEROES, and
 * FLUSH.  On the thread of the client's loop. */
#ifndef SERVER_CLIENT_COMMAND_WRITE_H
#define SERVER_CLIENT_COMMAND_WRITE_H

struct buf;
struct client;
struct nbd_request;

/* A write whose data lie at `data` in input, whole. */
void write_begin(struct client *c, const struct nbd_request *req,
                 const unsigned char *data, struct buf *input);
/* A write whose data begin buf, which is charged to the client; taken over. */
void write_begin_with(struct client *c, const struct nbd_request *req,
                      struct buf *buf);
/* FLUSH, TRIM, WRITE_ZEROES. */
void write_begin_other(struct client *c, const struct nbd_request *req);

#endif
