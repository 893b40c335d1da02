/* SPDX-License-Identifier: BSD-2-Clause */
/* client.c: see client.h. */
#include "config.h"

#include <errno.h>

#include "client/client.h"
#include "base/clock.h"
#include "base/container.h"
#include "catalog/generation.h"
#include "client/host.h"
#include "net/stream.h"

void
client_kick(struct client *c)
{
  if (c->kicked)
    return;
  c->kicked = true;
  loop_post(c->loop, &c->kick);
}

void
client_fail(struct client *c, const char *why)
{
  if (client_has_failed(c))
    return;
  c->why = why;
  atomic_store_explicit(&c->cancelled, true, memory_order_relaxed);
  client_kick(c);
}

void
client_done(struct client *c)
{
  gate_end(&c->gate);
  client_kick(c);
}

/* The gate has been closed, or opened. */
static void
on_gate_turned(struct gate_user *user)
{
  client_kick(CONTAINER_OF(user, struct client, gate));
}

void
client_use(struct client *c, struct export *export)
{
  c->export = export;
  gate_join(&export->gate, &c->gate, c->loop, on_gate_turned);
}

bool
client_leave_export(struct client *c)
{
  if (!c->export)
    return true;
  if (!gate_leave(&c->gate))
    return false;
  export_unref(c->export);
  c->export = NULL;
  return true;
}

bool
client_send(struct client *c)
{
  if (client_has_failed(c))
    return false;
  const int r = send_some(&c->send, c->stream);
  if (r < 0 && r != -EAGAIN)
    client_fail(c, "its replies cannot be sent");
  return r == 0;
}

const char *
client_identity(const struct client *c)
{
  struct stream *s = c->stream;

  return s->ops->identity ? s->ops->identity(s) : NULL;
}

const char *
client_issuer(const struct client *c)
{
  struct stream *s = c->stream;

  return s->ops->issuer ? s->ops->issuer(s) : NULL;
}

void
client_tell(const struct client *c, struct fact *fact)
{
  fact->visitor = &c->visitor;
  fact->client = c->number;
  fact->identity = client_identity(c);
  fact->nsec = clock_ns() - c->since_ns;
  c->host->tell(c->host, fact);
}
