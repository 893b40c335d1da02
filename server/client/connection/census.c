/* SPDX-License-Identifier: BSD-2-Clause */
/* census.c: see census.h. */
#include "config.h"

#include "client/connection/census.h"

#include <stddef.h>

#include "catalog/generation.h"
#include "client/connection/connection_state.h"
#include "client/connection/ending.h"
#include "client/worker.h"
#include "net/stream.h"

unsigned
census_count(const struct worker *worker)
{
  const struct connection *conn;
  unsigned n = 0;

  TAILQ_FOREACH(conn, &worker->connections, link)
    n++;
  return n;
}

static enum census_state
state_of(const struct connection *conn)
{
  return conn->state < CONNECTION_SERVING    ? CENSUS_NEGOTIATING
         : conn->state == CONNECTION_SERVING ? CENSUS_SERVING
                                             : CENSUS_ENDING;
}

/* Who is dead has been told of as one that left. */
void
census_visit(const struct worker *worker,
             void (*visit)(void *opaque, const struct census_entry *entry),
             void *opaque)
{
  const struct connection *conn;

  TAILQ_FOREACH(conn, &worker->connections, link) {
    const struct client *c = &conn->client;
    if (conn->state == CONNECTION_DEAD || !c->stream)
      continue;
    const struct census_entry entry = {
      .number = c->number,
      .visitor = &c->visitor,
      .identity = client_identity(c),
      .export = c->export ? c->export->name : NULL,
      .state = state_of(conn),
      .tls = c->stream->ops->handshake != NULL,
      .since_ns = c->since_ns,
      .read = c->read,
      .written = c->written,
      .nfailed = c->nfailed,
      .nops = client_in_flight(c),
      .nanswered = usage_count(&c->times),
      .p50_ns = usage_quantile(&c->times, 0.5),
      .p99_ns = usage_quantile(&c->times, 0.99),
    };
    visit(opaque, &entry);
  }
}

void
census_disconnect(struct worker *worker,
                  bool (*is_wanted)(void *opaque, uint64_t number),
                  void *opaque)
{
  struct connection *conn;

  TAILQ_FOREACH(conn, &worker->connections, link)
    if (conn->state < CONNECTION_ENDING &&
        is_wanted(opaque, conn->client.number))
      ending_begin(conn, "an administrator has disconnected it");
}
