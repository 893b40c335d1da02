/* SPDX-License-Identifier: BSD-2-Clause
 *
 * run: the state of a run, shared by load.c, which moves it from phase to phase
 * and owns it, and requests.c, which makes its requests and takes the answers.
 * One thread.
 */

#ifndef BENCH_LOAD_RUN_H
#define BENCH_LOAD_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn.h"
#include "content.h"
#include "cpu.h"
#include "load.h"
#include "options.h"
#include "trace.h"

enum phase {
  PHASE_CONNECTING,
  PHASE_WARMING,
  PHASE_MEASURING,
  PHASE_DRAINING,
  PHASE_VERIFYING,
  PHASE_DONE,
};

/* A connection and what the loop knows about it. */
struct lane {
  struct conn conn;
  struct stream_address address;
  struct handshake_wishes wishes;
  char *export_name;
  bool watches_output;
  bool reopen;          /* ready and counted: disconnect, connect again */
  uint64_t opened_ns;
  uint64_t cursor;      /* sequential: blocks done of its own part; replay:
                           steps of the trace that were begun */
  bool flushing;        /* replay: nothing else until that is answered */
  uint8_t *payloads;    /* --verify: a block for each slot */
};

struct run {
  const struct options *options;
  struct result *result;
  struct conn_setup setup;
  struct stream_address tcp;
  struct lane *lanes;
  int epoll;

  enum phase phase;
  unsigned opened_count;
  unsigned ready_count;
  uint64_t issued;
  uint64_t in_flight;
  uint64_t now_ns;      /* of this turn; 0: not read yet */
  uint64_t phase_ns;    /* when the phase began */
  struct cpu_time server_then;
  struct cpu_time client_then;

  uint64_t random;
  uint64_t range;
  uint64_t blocks;      /* in the range */
  uint8_t *payload;     /* of all writes, without --verify */
  struct trace trace;
  unsigned replayed;    /* lanes that have begun all of it */
  struct reference *reference;
  struct ledger *ledger;
  uint64_t verify_next;
};

/* Of the monotonic clock. */
uint64_t run_clock_ns(void);

/* The time of this turn: the clock is read only once. */
static inline uint64_t
run_now(struct run *run)
{
  if (!run->now_ns)
    run->now_ns = run_clock_ns();
  return run->now_ns;
}

/* xorshift64*: quick, and the same for the same seed. */
static inline uint64_t
run_random(struct run *run)
{
  uint64_t x = run->random;

  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  run->random = x;
  return x * UINT64_C(2685821657736338717);
}

static inline bool
run_is(const struct run *run, enum operation_kind kind)
{
  return run->options->operation->kind == kind;
}

#endif
