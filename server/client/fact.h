/* SPDX-License-Identifier: BSD-2-Clause */
/* fact.h: what happens to connections, in one vocabulary:
 *
 *   CAME --> CHOSE an export --> LEFT
 *     |        FAILED: got an error, any number of times
 *     +--> LEFT
 *   REFUSED: a limit did not let it in; nothing else happens to it
 *
 * A connection tells each fact, once and when it happens, to its host, who
 * makes counters and messages of them.  What a fact points to is good for that
 * call alone. */
#ifndef SERVER_CLIENT_FACT_H
#define SERVER_CLIENT_FACT_H

#include <stdatomic.h>
#include <stdint.h>

#include "net/visitor.h"

enum fact_kind {
  FACT_CAME,
  FACT_REFUSED,
  FACT_CHOSE,
  FACT_FAILED,
  FACT_LEFT,
};

/* What did not let somebody in. */
enum fact_limit {
  FACT_LIMIT_CONNECTIONS,
  FACT_LIMIT_ADDRESS,
  FACT_LIMIT_PROCESS_FILES,
  FACT_LIMIT_SYSTEM_FILES,
  FACT_LIMIT_MEMORY,
  FACT_LIMIT_STOPPING,
  FACT_LIMIT_DRAINING,
  FACT_NLIMITS,
};

/* How much a person has to hear of it. */
enum fact_weight {
  FACT_ORDINARY, /* part of every negotiation */
  FACT_NOTABLE,  /* the client's fault, or his wish */
  FACT_GRAVE,    /* ours: data could not be read, written or made durable */
};

struct fact {
  enum fact_kind kind;
  const struct visitor *visitor;
  uint64_t client;      /* its number; 0: a REFUSED one has none */
  const char *identity; /* as TLS has proved it; NULL: the socket's, if any */
  const char *export;   /* the name of the one chosen or asked for; or NULL */
  const char *why;      /* of FAILED and LEFT */
  enum fact_limit limit;
  /* FAILED: what the client has asked for, the name of the error that it got,
   * and the error's number, 0 for that of an option. */
  const char *request, *error;
  uint32_t number;
  enum fact_weight weight;
  /* LEFT: */
  uint64_t nsec;          /* how long it was there */
  uint64_t read, written; /* bytes of the export, successfully */
  uint64_t nfailed;       /* FAILED in all */
};

/* "connections", "process-files" and so on. */
const char *fact_limit_word(enum fact_limit limit);

/* Bytes that a loop's clients have read and written: written by that loop
 * (usage_add()), read by any thread. */
struct fact_tally {
  _Alignas(64) atomic_uint_fast64_t read;
  atomic_uint_fast64_t written;
};

#endif
