/* SPDX-License-Identifier: BSD-2-Clause */
/* reply.c: see reply.h. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/reply.h"
#include "catalog/generation.h"
#include "client/client.h"
#include "nbd/reply.h"

/* How grave is an error that a request gets? */
static enum fact_weight
weight_of(const struct client *c, uint32_t error)
{
  /* Its requests are given up, for it has gone. */
  if (atomic_load_explicit(&c->cancelled, memory_order_relaxed))
    return FACT_ORDINARY;
  switch (error) {
  case NBD_EIO:
  case NBD_ENOSPC:
  case NBD_ENOMEM:
    return FACT_GRAVE;
  case NBD_ENOTSUP: /* zeros are not to be had fast: the client writes them */
  case NBD_ESHUTDOWN:
    return FACT_ORDINARY;
  default:
    return FACT_NOTABLE;
  }
}

static void
tell_error(struct client *c, const struct nbd_request *req, uint32_t error,
           const char *why)
{
  const char *name = nbd_cmd_name(req->type);
  char what[96];

  snprintf(what, sizeof what, "%s of %" PRIu64 " bytes at %" PRIu64,
           strncmp(name, "NBD_CMD_", 8) == 0 ? name + 8 : name, req->len,
           req->off);
  struct fact fact = {
    .kind = FACT_FAILED,
    .export = c->export->name,
    .request = what,
    .error = nbd_error_name(error),
    .number = error,
    .why = why,
    .weight = weight_of(c, error),
  };
  c->nfailed++;
  client_tell(c, &fact);
}

static void
put_reply(struct client *c, const struct nbd_request *req, uint32_t error,
          const char *text)
{
  unsigned char *p = send_reserve(&c->send, NBD_REPLY_ERROR_MAX);

  if (!p) {
    client_fail(c, "no memory for a reply");
    return;
  }
  send_commit(&c->send, error == NBD_SUCCESS
                          ? nbd_reply_ok(&c->session, req, p)
                          : nbd_reply_error(&c->session, req, error, text, p));
}

void
reply_error(struct client *c, const struct nbd_request *req, uint32_t error,
            const char *text)
{
  if (client_has_failed(c))
    return;
  put_reply(c, req, error, text);
  tell_error(c, req, error, text ? text : "the server has no memory for it");
}

void
reply_errno(struct client *c, const struct nbd_request *req, int err)
{
  if (client_has_failed(c))
    return;
  const uint32_t error = nbd_error_from_errno(req, err);
  put_reply(c, req, error, NULL);
  tell_error(c, req, error, strerror(-err));
}

void
reply_ok(struct client *c, const struct nbd_request *req)
{
  if (!client_has_failed(c))
    put_reply(c, req, NBD_SUCCESS, NULL);
}

bool
reply_early(struct client *c, const struct nbd_request *req)
{
  unsigned char reply[NBD_REPLY_MAX];

  return send_early_put(&c->send, reply,
                        nbd_reply_ok(&c->session, req, reply));
}
