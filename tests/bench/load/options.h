/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options: the command line of nbd-load, read and checked. Strings belong to
 * argv.
 */

#ifndef BENCH_LOAD_OPTIONS_H
#define BENCH_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu.h"
#include "tls.h"

enum operation_kind {
  OPERATION_REQUESTS,  /* one command, again and again */
  OPERATION_STATUS,    /* block status from one end to the other */
  OPERATION_CONNECT,   /* connect, negotiate, disconnect */
  OPERATION_IDLE,      /* connect, and stay */
  OPERATION_REPLAY,    /* a trace, each connection all of it */
};

struct operation {
  const char *name;
  enum operation_kind kind;
  uint16_t command;
  uint16_t flags;
  bool then_flush;  /* each request is followed by a flush of its own */
  const char *help;
};

/* In unix_path and export_name, %u stands for the connection's number. */
struct options {
  const char *unix_path;
  const char *tcp;
  const char *export_name;
  bool tls;
  struct tls_options tls_options;

  const struct operation *operation;
  bool sequential;
  bool structured;
  bool no_hole;
  bool one_by_one;
  bool burst;
  bool spin;
  uint64_t block;
  uint64_t depth;
  uint64_t connections;
  uint64_t count;   /* of requests; 0: by time */
  uint64_t offset;
  uint64_t range;   /* 0: to the end */
  uint64_t seed;
  double seconds;
  double warmup;
  double patience;  /* no answer for so long is a failure */

  const char *trace;
  bool stay;        /* connected when the figures are there */
  const char *check;
  bool verify;
  struct cpu_meter server;
};

/* Fails the process on nonsense; --help ends it too. */
void options_parse(struct options *options, int argc, char **argv);

#endif
