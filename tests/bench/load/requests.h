/* SPDX-License-Identifier: BSD-2-Clause
 *
 * requests: what each connection asks for next, by operation and phase, and
 * what becomes of the answers. Changes the counters of struct run; never the
 * phase. One thread.
 */

#ifndef BENCH_LOAD_REQUESTS_H
#define BENCH_LOAD_REQUESTS_H

#include "run.h"

/* Queue as many requests as the depth and the phase allow. */
void requests_fill(struct run *run, struct lane *lane);

/* The handler of all connections; their owner is the struct run. */
extern const struct conn_handler requests_handler;

#endif
