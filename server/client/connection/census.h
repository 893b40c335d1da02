/* SPDX-License-Identifier: BSD-2-Clause */
/* census.h: who is connected, for somebody who looks after the server; and the
 * end of those whom he does not want.  On the thread of the worker's loop. */
#ifndef SERVER_CLIENT_CONNECTION_CENSUS_H
#define SERVER_CLIENT_CONNECTION_CENSUS_H

#include <stdbool.h>
#include <stdint.h>

struct visitor;
struct worker;

enum census_state {
  CENSUS_NEGOTIATING,
  CENSUS_SERVING,
  CENSUS_ENDING,
};

/* What it points to is good for the visit alone. */
struct census_entry {
  uint64_t number; /* its own, never another one's while the server runs */
  const struct visitor *visitor;
  const char *identity; /* by TLS, or NULL */
  const char *export;   /* or NULL */
  enum census_state state;
  bool tls;
  uint64_t since_ns;      /* clock_ns() then */
  uint64_t read, written; /* bytes */
  uint64_t nfailed;       /* errors that it got */
  unsigned nops;          /* requests in flight */
  uint64_t nanswered;
  uint64_t p50_ns, p99_ns; /* as usage_quantile() tells */
};

/* How many there are at most. */
unsigned census_count(const struct worker *worker);
void census_visit(const struct worker *worker,
                  void (*visit)(void *opaque,
                                const struct census_entry *entry),
                  void *opaque);

/* Ends those of whom is_wanted() says so, in order: what is in flight is
 * finished and answered.  Who ends anyway is not asked about. */
void census_disconnect(struct worker *worker,
                       bool (*is_wanted)(void *opaque, uint64_t number),
                       void *opaque);

#endif
