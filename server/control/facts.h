/* SPDX-License-Identifier: BSD-2-Clause */
/* facts.h: what becomes of the facts about connections (client/fact.h):
 * counters and, in one place, lines of the log.
 *
 * The log has one line a connection, when it ends; one when it was refused; and
 * one for each error that a client got.  Messages of one cause are held back as
 * log_cause.h says.  With --verbose it is told, too, when a client comes and
 * chooses.  Any thread. */
#ifndef SERVER_CONTROL_FACTS_H
#define SERVER_CONTROL_FACTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/fact.h"

struct events;

/* Errors are counted by their number on the wire; those that are larger, and
 * those of options (0), have a place each. */
#define FACTS_ERRORS 128
#define FACTS_OTHER_ERRORS (FACTS_ERRORS - 1)

struct facts {
  atomic_uint_fast64_t came, left;
  atomic_uint_fast64_t refused[FACT_NLIMITS];
  atomic_uint_fast64_t errors[FACTS_ERRORS];
  struct fact_tally *tallies; /* one for each loop */
  unsigned ntallies;
  struct events *events; /* who is to be told; NULL: nobody */
};

/* False: no memory. */
bool facts_init(struct facts *facts, unsigned nloops);
void facts_destroy(struct facts *facts);

void facts_note(struct facts *facts, const struct fact *fact);

/* Bytes that all clients have read and written up to now. */
void facts_bytes(const struct facts *facts, uint64_t *read, uint64_t *written);

/* How many are there now. */
uint64_t facts_present(const struct facts *facts);

/* The counters, to the log, with --verbose. */
void facts_log(const struct facts *facts);

#endif
