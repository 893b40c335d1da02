/* SPDX-License-Identifier: BSD-2-Clause */
/* reply.c: see reply.h. */
#include "config.h"

#include "client/reply.h"
#include "client/client.h"
#include "nbd/reply.h"

void
reply_error(struct client *c, const struct nbd_request *req, uint32_t error,
            const char *text)
{
  if (client_has_failed(c))
    return;
  unsigned char *p = send_reserve(&c->send, NBD_REPLY_ERROR_MAX);
  if (!p) {
    client_fail(c, "no memory for a reply");
    return;
  }
  send_commit(&c->send,
              error == NBD_SUCCESS
                ? nbd_reply_ok(&c->session, req, p)
                : nbd_reply_error(&c->session, req, error, text, p));
}

void
reply_ok(struct client *c, const struct nbd_request *req)
{
  reply_error(c, req, NBD_SUCCESS, NULL);
}
