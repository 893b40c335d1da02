/* SPDX-License-Identifier: BSD-2-Clause
 *
 * load: the run itself: one epoll loop that keeps all connections at the wanted
 * depth, warms up, measures, and looks at what came back. One thread.
 */

#ifndef BENCH_LOAD_LOAD_H
#define BENCH_LOAD_LOAD_H

#include <stdint.h>

#include "cpu.h"
#include "histogram.h"
#include "options.h"

struct result {
  double seconds;          /* measured */
  double connect_seconds;  /* until all connections were there */
  uint64_t export_size;
  uint64_t count;          /* of operations completed while measuring */
  uint64_t requests;       /* on the wire; a compound operation has several */
  uint64_t bytes;
  uint64_t errors;         /* operations the server refused */
  uint32_t first_error;    /* the first one's NBD error number */
  uint64_t extents;        /* of block status */
  uint64_t verified;       /* blocks read back and found right */
  struct cpu_time server;
  struct cpu_time client;
  struct histogram latency;
};

/* Do what OPTIONS say. `tell` is called when the result is there; the
 * connections are there still. */
void load_run(const struct options *options, struct result *result,
              void (*tell)(const struct options *, const struct result *));

#endif
