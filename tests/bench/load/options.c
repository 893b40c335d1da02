/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options: the command line of nbd-load. See options.h.
 */

#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "options.h"
#include "stream.h"
#include "wire.h"

#define DEPTH_MAX 4096
#define CONNECTIONS_MAX 20000
#define BLOCK_MAX (32u << 20)
#define EXPORT_NAME_MAX 1024

static const struct operation operations[] = {
  {"read", OPERATION_REQUESTS, NBD_CMD_READ, 0, false, "READ"},
  {"write", OPERATION_REQUESTS, NBD_CMD_WRITE, 0, false, "WRITE"},
  {"fua", OPERATION_REQUESTS, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA, false,
   "WRITE with FUA"},
  {"write-flush", OPERATION_REQUESTS, NBD_CMD_WRITE, 0, true,
   "WRITE, then FLUSH, counted as one"},
  {"zero", OPERATION_REQUESTS, NBD_CMD_WRITE_ZEROES, 0, false, "WRITE_ZEROES"},
  {"trim", OPERATION_REQUESTS, NBD_CMD_TRIM, 0, false, "TRIM"},
  {"flush", OPERATION_REQUESTS, NBD_CMD_FLUSH, 0, false, "FLUSH"},
  {"status", OPERATION_STATUS, NBD_CMD_BLOCK_STATUS, 0, false,
   "BLOCK_STATUS from one end of the range to the other, counted as one"},
  {"connect", OPERATION_CONNECT, 0, 0, false,
   "connect, negotiate, disconnect, counted as one"},
  {"idle", OPERATION_IDLE, 0, 0, false,
   "connect, print a line, stay until standard input ends or --time is over"},
  {"replay", OPERATION_REPLAY, 0, 0, false,
   "what --trace says, once on each connection, as fast as it is answered"},
  {0},
};

enum option_type {
  OPTION_STRING,
  OPTION_FLAG,
  OPTION_SIZE,     /* a number, with K, M, G or T */
  OPTION_SECONDS,
  OPTION_OPERATION,
  OPTION_PID,
  OPTION_HELP,
};

#define FIELD(name) offsetof(struct options, name)

static const struct option_entry {
  const char *name;
  enum option_type type;
  size_t field;
  const char *argument;
  const char *help;
} entries[] = {
  {"unix", OPTION_STRING, FIELD(unix_path), "PATH",
   "the server's socket; %u stands for the connection's number, from 0"},
  {"tcp", OPTION_STRING, FIELD(tcp), "HOST:PORT", "the server's address"},
  {"export", OPTION_STRING, FIELD(export_name), "NAME",
   "default: none; %u as in --unix"},
  {"tls", OPTION_FLAG, FIELD(tls), NULL, "encrypt; implied by --tls-*"},
  {"tls-ca", OPTION_STRING, FIELD(tls_options.ca_file), "FILE",
   "verify the server's certificate"},
  {"tls-hostname", OPTION_STRING, FIELD(tls_options.host_name), "NAME",
   "whom the certificate names, default localhost"},
  {"tls-psk", OPTION_STRING, FIELD(tls_options.psk_file), "FILE",
   "pre-shared keys, lines of NAME:HEXKEY"},
  {"tls-user", OPTION_STRING, FIELD(tls_options.psk_name), "NAME",
   "which of the keys, default the first"},
  {"tls-ciphers", OPTION_STRING, FIELD(tls_options.ciphers), "LIST",
   "TLS 1.3 cipher suites"},
  {"op", OPTION_OPERATION, 0, "OPERATION", "see below, default read"},
  {"sequential", OPTION_FLAG, FIELD(sequential), NULL,
   "each connection walks through a part of its own; default: random"},
  {"block", OPTION_SIZE, FIELD(block), "SIZE", "of a request, default 4K"},
  {"depth", OPTION_SIZE, FIELD(depth), "N",
   "requests in flight on a connection, default 1"},
  {"connections", OPTION_SIZE, FIELD(connections), "N", "default 1"},
  {"time", OPTION_SECONDS, FIELD(seconds), "S", "to measure for, default 2"},
  {"warmup", OPTION_SECONDS, FIELD(warmup), "S", "before that, default 0.3"},
  {"patience", OPTION_SECONDS, FIELD(patience), "S",
   "no answer for so long is a failure, default 30"},
  {"count", OPTION_SIZE, FIELD(count), "N",
   "measure exactly N requests instead, without a warm-up"},
  {"offset", OPTION_SIZE, FIELD(offset), "SIZE", "where to begin"},
  {"range", OPTION_SIZE, FIELD(range), "SIZE", "default: to the end"},
  {"seed", OPTION_SIZE, FIELD(seed), "N", "of random offsets, default 1"},
  {"structured", OPTION_FLAG, FIELD(structured), NULL,
   "ask for structured replies"},
  {"no-hole", OPTION_FLAG, FIELD(no_hole), NULL, "zero: keep space allocated"},
  {"one-by-one", OPTION_FLAG, FIELD(one_by_one), NULL,
   "one system call to send each request"},
  {"burst", OPTION_FLAG, FIELD(burst), NULL,
   "send the next requests only when all have been answered"},
  {"spin", OPTION_FLAG, FIELD(spin), NULL, "poll instead of sleeping"},
  {"trace", OPTION_STRING, FIELD(trace), "FILE",
   "to be replayed: lines of ms,op,offset,length; op is R, W or F"},
  {"stay", OPTION_FLAG, FIELD(stay), NULL,
   "stay connected, when all is told, until standard input ends or\n"
   "                            for --time"},
  {"check", OPTION_STRING, FIELD(check), "FILE",
   "compare what is read with this file"},
  {"verify", OPTION_FLAG, FIELD(verify), NULL,
   "read back what was written, and compare"},
  {"server-pid", OPTION_PID, 0, "PID",
   "count the CPU time of this process and its children; repeatable"},
  {"server-cgroup", OPTION_STRING, FIELD(server.cgroup), "DIRECTORY",
   "count the CPU time of this control group"},
  {"help", OPTION_HELP, 0, NULL, "this"},
};

#define ENTRY_COUNT (sizeof entries / sizeof entries[0])

static _Noreturn void
help(void)
{
  printf("Usage: nbd-load (--unix PATH | --tcp HOST:PORT) [OPTION...]\n"
         "Put load on an NBD server; print one line of JSON.\n\n");
  for (size_t i = 0; i < ENTRY_COUNT; i++)
    printf("  --%-13s %-10s %s\n", entries[i].name,
           entries[i].argument ? entries[i].argument : "", entries[i].help);
  printf("\nOperations:\n");
  for (const struct operation *op = operations; op->name; op++)
    printf("  %-15s %s\n", op->name, op->help);
  exit(0);
}

static uint64_t
parse_size(const char *name, const char *text)
{
  static const char units[] = "KMGT";
  char *end;

  errno = 0;
  unsigned long long n = strtoull(text, &end, 0);
  const char *unit = *end ? strchr(units, *end) : NULL;
  unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
  if (unit)
    end++;
  if (errno || end == text || *end || text[0] == '-' ||
      n > UINT64_MAX >> shift)
    fail(FAIL_USAGE, "--%s %s: not a size", name, text);
  return n << shift;
}

static double
parse_seconds(const char *name, const char *text)
{
  char *end;
  double seconds = strtod(text, &end);

  if (end == text || *end || !(seconds >= 0 && seconds < 1e6))
    fail(FAIL_USAGE, "--%s %s: not a number of seconds", name, text);
  return seconds;
}

static const struct operation *
find_operation(const char *name)
{
  for (const struct operation *op = operations; op->name; op++)
    if (strcmp(op->name, name) == 0)
      return op;
  fail(FAIL_USAGE, "--op %s: no such operation", name);
}

static void
add_pid(struct cpu_meter *meter, const char *text)
{
  if (meter->pid_count == CPU_PIDS_MAX)
    fail(FAIL_USAGE, "--server-pid: more than %d", CPU_PIDS_MAX);
  meter->pids[meter->pid_count++] = (pid_t)parse_size("server-pid", text);
}

static void
apply(struct options *options, const struct option_entry *entry,
      const char *argument)
{
  void *field = (char *)options + entry->field;

  switch (entry->type) {
  case OPTION_STRING:
    *(const char **)field = argument;
    break;
  case OPTION_FLAG:
    *(bool *)field = true;
    break;
  case OPTION_SIZE:
    *(uint64_t *)field = parse_size(entry->name, argument);
    break;
  case OPTION_SECONDS:
    *(double *)field = parse_seconds(entry->name, argument);
    break;
  case OPTION_OPERATION:
    options->operation = find_operation(argument);
    break;
  case OPTION_PID:
    add_pid(&options->server, argument);
    break;
  case OPTION_HELP:
    help();
  }
}

static void
check_limits(const struct options *o)
{
  if (!o->unix_path == !o->tcp)
    fail(FAIL_USAGE, "give either --unix or --tcp");
  if (o->depth < 1 || o->depth > DEPTH_MAX)
    fail(FAIL_USAGE, "--depth is 1 to %d", DEPTH_MAX);
  if (o->connections < 1 || o->connections > CONNECTIONS_MAX)
    fail(FAIL_USAGE, "--connections is 1 to %d", CONNECTIONS_MAX);
  if (o->block < 1 || o->block > BLOCK_MAX)
    fail(FAIL_USAGE, "--block is 1 to %u", BLOCK_MAX);
  if (strlen(o->export_name) > EXPORT_NAME_MAX)
    fail(FAIL_USAGE, "--export is longer than %d", EXPORT_NAME_MAX);
}

static void
check_combinations(const struct options *o)
{
  uint16_t command = o->operation->command;
  bool requests = o->operation->kind == OPERATION_REQUESTS;

  if (!o->trace != (o->operation->kind != OPERATION_REPLAY))
    fail(FAIL_USAGE, "--op replay and --trace need each other");
  if (o->check && !(requests && command == NBD_CMD_READ))
    fail(FAIL_USAGE, "--check needs --op read");
  if (o->verify && !(requests && command == NBD_CMD_WRITE))
    fail(FAIL_USAGE, "--verify needs an operation that writes");
  if (o->verify && (o->block % 512 || o->offset % 512))
    fail(FAIL_USAGE, "--verify needs whole sectors of 512 bytes");
  if (o->no_hole && command != NBD_CMD_WRITE_ZEROES)
    fail(FAIL_USAGE, "--no-hole needs --op zero");
  if (o->seed > UINT32_MAX)
    fail(FAIL_USAGE, "--seed is at most %u", UINT32_MAX);
}

void
options_parse(struct options *options, int argc, char **argv)
{
  struct option names[ENTRY_COUNT + 1] = {0};
  int which;

  *options = (struct options){
    .export_name = "",
    .operation = &operations[0],
    .block = 4096,
    .depth = 1,
    .connections = 1,
    .seconds = 2,
    .warmup = 0.3,
    .patience = STREAM_PATIENCE_S,
    .seed = 1,
  };
  for (size_t i = 0; i < ENTRY_COUNT; i++) {
    names[i].name = entries[i].name;
    names[i].has_arg = entries[i].argument ? required_argument : no_argument;
  }
  for (;;) {
    int c = getopt_long(argc, argv, "", names, &which);
    if (c == -1)
      break;
    if (c != 0)
      exit(FAIL_USAGE);  /* getopt has said why */
    apply(options, &entries[which], optarg);
  }
  if (optind < argc)
    fail(FAIL_USAGE, "%s: unexpected argument", argv[optind]);
  if (options->tls_options.ca_file || options->tls_options.psk_file)
    options->tls = true;
  check_limits(options);
  check_combinations(options);
}
