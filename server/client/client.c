/* SPDX-License-Identifier: BSD-2-Clause */
/* client.c: see client.h. */
#include "config.h"

#include <errno.h>

#include "client/client.h"
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

/* The gate has been closed, opened or broken. */
static void
on_gate_turned(struct gate_user *user)
{
  struct client *c = CONTAINER_OF(user, struct client, gate);

  if (user->broken)
    client_fail(c, "its image could not be opened again");
  client_kick(c);
}

void
client_use(struct client *c, struct export *export)
{
  c->export = export;
  c->usage = usage_of(export->usages, c->loop->index);
  gate_join(&export->gate, &c->gate, c->loop, on_gate_turned);
  if (c->gate.broken)
    on_gate_turned(&c->gate);
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

static void
took(struct client *c, unsigned kind, uint64_t nsec, unsigned n)
{
  usage_took(&c->usage->took[kind], nsec, n);
  usage_took(&c->times, nsec, n);
}

void
client_end_turn(struct client *c)
{
  if (c->kinds == 0)
    return;
  const uint64_t nsec = clock_ns() - c->turn_ns;
  do {
    const unsigned kind = (unsigned)__builtin_ctz(c->kinds);
    took(c, kind, nsec, c->at_once[kind]);
    c->at_once[kind] = 0;
    c->kinds &= c->kinds - 1;
  } while (c->kinds != 0);
}

void
client_answered(struct client *c, unsigned kind, uint64_t began_ns)
{
  took(c, kind, clock_ns() - began_ns, 1);
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
