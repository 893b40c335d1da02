/* SPDX-License-Identifier: BSD-2-Clause
 *
 * load: the run itself. See load.h.
 *
 * Phases, in this order; the ones in brackets depend on the operation:
 *
 *   PHASE_CONNECTING  until every connection is negotiated
 *   [PHASE_WARMING]   requests flow, nothing is counted
 *   PHASE_MEASURING   between two readings of all clocks
 *   PHASE_DRAINING    no new requests, until none is in flight
 *   [PHASE_VERIFYING] what this run has written is read back
 *   PHASE_DONE
 *
 * A connection's turn is: receive what is there, let each answered request make
 * the next one, send all of those at once. The clock is read once a turn.
 */

#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "fail.h"
#include "load.h"
#include "requests.h"
#include "run.h"

#define EVENTS_MAX 256
#define OPENING_MAX 64  /* more at once would wait for each other's handshake */
#define NS_PER_S 1e9

uint64_t
run_clock_ns(void)
{
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- Phases ------------------------------------------------------------ */

static void
enter(struct run *run, enum phase phase)
{
  run->phase = phase;
  run->phase_ns = run_now(run);
}

static void
begin_measuring(struct run *run)
{
  run->server_then = cpu_meter_read(&run->options->server);
  run->client_then = cpu_own();
  run->now_ns = 0;
  enter(run, PHASE_MEASURING);
}

static void
end_measuring(struct run *run)
{
  struct result *result = run->result;

  result->seconds = (run_now(run) - run->phase_ns) / NS_PER_S;
  result->client = cpu_time_since(cpu_own(), run->client_then);
  result->server = cpu_time_since(cpu_meter_read(&run->options->server),
                                  run->server_then);
  enter(run, PHASE_DRAINING);
}

/* How much of the export this run is about. */
static void
find_range(struct run *run)
{
  const struct options *o = run->options;
  uint64_t size = run->lanes[0].conn.export_size;

  run->result->export_size = size;
  if (o->offset >= size)
    fail(FAIL_USAGE, "--offset lies past the export's %llu bytes",
         (unsigned long long)size);
  run->range = size - o->offset;
  if (o->range && o->range < run->range)
    run->range = o->range;
  run->blocks = run->range / o->block;
  if (!run->blocks)
    fail(FAIL_USAGE, "--block is larger than the range");
}

static void
make_ledger(struct run *run)
{
  const struct options *o = run->options;

  if (run->blocks < 2 * o->depth * o->connections)
    fail(FAIL_USAGE, "--verify needs a range of at least twice the requests "
         "in flight");
  run->ledger = ledger_new(o->offset, run->blocks, o->block, o->seed);
  for (unsigned i = 0; i < o->connections; i++)
    run->lanes[i].payloads = xcalloc(o->depth, o->block);
}

/* Have epoll report what this connection waits for. */
static void
watch(struct run *run, struct lane *lane, int how)
{
  bool output = conn_wants_output(&lane->conn);
  struct epoll_event event = {
    .events = EPOLLIN | (output ? EPOLLOUT : 0),
    .data.ptr = lane,
  };

  if (how == EPOLL_CTL_MOD && output == lane->watches_output)
    return;
  lane->watches_output = output;
  if (epoll_ctl(run->epoll, how, lane->conn.stream.fd, &event) < 0)
    fail(FAIL_SYSTEM, "epoll_ctl: %s", strerror(errno));
}

/* Give every lane its first requests. */
static void
fill_all(struct run *run)
{
  for (unsigned i = 0; i < run->options->connections; i++) {
    struct lane *lane = &run->lanes[i];
    requests_fill(run, lane);
    conn_output(&lane->conn);
    watch(run, lane, EPOLL_CTL_MOD);
  }
}

static void
all_connected(struct run *run)
{
  const struct options *o = run->options;

  run->result->connect_seconds = (run_now(run) - run->phase_ns) / NS_PER_S;
  if (run_is(run, OPERATION_IDLE)) {
    enter(run, PHASE_DONE);
    return;
  }
  find_range(run);
  if (o->verify)
    make_ledger(run);
  if (o->count || o->trace)
    begin_measuring(run);
  else
    enter(run, PHASE_WARMING);

  if (run_is(run, OPERATION_CONNECT)) {
    for (unsigned i = 0; i < o->connections; i++)
      run->lanes[i].reopen = true;
  } else {
    fill_all(run);
  }
}

static void
all_drained(struct run *run)
{
  if (run->ledger && run->phase == PHASE_DRAINING) {
    enter(run, PHASE_VERIFYING);
    run->verify_next = ledger_next(run->ledger, 0);
    fill_all(run);
    if (run->in_flight)
      return;
  }
  enter(run, PHASE_DONE);
}

static bool
has_measured(const struct run *run, double elapsed)
{
  const struct options *o = run->options;

  if (o->trace)
    return run->replayed == o->connections && !run->in_flight;
  if (o->count)
    return run->result->count + run->result->errors >= o->count;
  return elapsed >= o->seconds;
}

/* Is it time for the next phase? */
static void
check_phase(struct run *run)
{
  const struct options *o = run->options;
  double elapsed = (run_now(run) - run->phase_ns) / NS_PER_S;

  switch (run->phase) {
  case PHASE_CONNECTING:
    if (run->ready_count == o->connections)
      all_connected(run);
    break;
  case PHASE_WARMING:
    if (elapsed >= o->warmup)
      begin_measuring(run);
    break;
  case PHASE_MEASURING:
    if (has_measured(run, elapsed))
      end_measuring(run);
    break;
  default:
    break;
  }
  if ((run->phase == PHASE_DRAINING || run->phase == PHASE_VERIFYING) &&
      !run->in_flight)
    all_drained(run);
}

/* --- The loop ---------------------------------------------------------- */

static void
open_lane(struct run *run, struct lane *lane)
{
  lane->reopen = false;
  lane->opened_ns = run_clock_ns();
  conn_open(&lane->conn);
  watch(run, lane, EPOLL_CTL_ADD);
}

/* Open what is to be open at first, a few at a time: a server gives a client
 * only so long for its handshake. */
static void
open_lanes(struct run *run)
{
  while (run->opened_count < run->options->connections &&
         run->opened_count - run->ready_count < OPENING_MAX)
    open_lane(run, &run->lanes[run->opened_count++]);
}

static void
take_turn(struct run *run, struct lane *lane, unsigned events, bool wait)
{
  if (events & EPOLLOUT)
    conn_output(&lane->conn);
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
    conn_input(&lane->conn, wait);
  if (lane->conn.state == CONN_READY) {
    requests_fill(run, lane);
    if (lane->conn.queue_count)
      conn_output(&lane->conn);
  }
  watch(run, lane, EPOLL_CTL_MOD);
}

/* With one connection that only has to receive, the receive itself can wait:
 * a system call less than asking epoll first, but no other than usual patience
 * (see stream.h). */
static bool
can_wait_in_receive(const struct run *run)
{
  const struct conn *c = &run->lanes[0].conn;

  return run->options->connections == 1 && !run->options->spin &&
    run->options->patience == STREAM_PATIENCE_S &&
    c->state == CONN_READY && conn_in_flight(c) && !conn_wants_output(c);
}

static void
turn_all(struct run *run)
{
  struct epoll_event events[EVENTS_MAX];
  int n = epoll_wait(run->epoll, events, EVENTS_MAX,
                     run->options->spin ? 0
                                        : (int)(run->options->patience * 1e3));

  run->now_ns = 0;
  if (n < 0 && errno != EINTR)
    fail(FAIL_SYSTEM, "epoll_wait: %s", strerror(errno));
  if (n == 0 && !run->options->spin)
    fail(FAIL_SERVER, "no answer for %g seconds", run->options->patience);
  for (int i = 0; i < n; i++) {
    run->now_ns = 0;
    take_turn(run, events[i].data.ptr, events[i].events, false);
  }
}

static void
reopen_lanes(struct run *run)
{
  for (unsigned i = 0; i < run->options->connections; i++) {
    struct lane *lane = &run->lanes[i];
    if (!lane->reopen || run->phase > PHASE_MEASURING)
      continue;
    conn_close(&lane->conn);
    open_lane(run, lane);
  }
}

static void
loop(struct run *run)
{
  while (run->phase != PHASE_DONE) {
    if (can_wait_in_receive(run)) {
      run->now_ns = 0;
      take_turn(run, &run->lanes[0], EPOLLIN, true);
    } else {
      turn_all(run);
    }
    if (run->phase == PHASE_CONNECTING)
      open_lanes(run);
    check_phase(run);
    if (run_is(run, OPERATION_CONNECT))
      reopen_lanes(run);
  }
}

/* Hold the connections until somebody closes our standard input. */
static void
stay(const struct options *o)
{
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  char c;

  while (poll(&input, 1, (int)(o->seconds * 1000)) == 1 &&
         read(STDIN_FILENO, &c, 1) == 1)
    ;
}

static void
make_payload(struct run *run)
{
  uint64_t block = run->options->block;

  if (run->trace.longest > block)
    block = run->trace.longest;
  if (posix_memalign((void **)&run->payload, 4096, block + 4096) != 0)
    fail(FAIL_SYSTEM, "out of memory");
  for (uint64_t i = 0; i < block; i++)
    run->payload[i] = (uint8_t)run_random(run) | 1;
}

/* TEXT, with NUMBER where it says %u. */
static char *
numbered(const char *text, unsigned number)
{
  const char *mark = strstr(text, "%u");
  char *made;
  int n = mark ? asprintf(&made, "%.*s%u%s", (int)(mark - text), text, number,
                          mark + 2)
               : asprintf(&made, "%s", text);

  if (n < 0)
    fail(FAIL_SYSTEM, "out of memory");
  return made;
}

static void
prepare_lane(struct run *run, unsigned number)
{
  const struct options *o = run->options;
  struct lane *lane = &run->lanes[number];

  lane->export_name = numbered(o->export_name, number);
  lane->wishes = (struct handshake_wishes){
    .export_name = lane->export_name,
    .tls = o->tls,
    .structured = o->structured,
    .status = run_is(run, OPERATION_STATUS),
  };
  if (o->unix_path) {
    char *path = numbered(o->unix_path, number);
    stream_address_unix(&lane->address, path);
    free(path);
  } else {
    lane->address = run->tcp;
  }
  conn_init(&lane->conn, number, &run->setup, &lane->address, &lane->wishes);
}

static void
prepare(struct run *run)
{
  const struct options *o = run->options;

  run->random = o->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
  run->setup = (struct conn_setup){
    .handler = &requests_handler,
    .owner = run,
    .depth = o->depth,
    .one_by_one = o->one_by_one,
  };
  if (o->tcp)
    stream_address_tcp(&run->tcp, o->tcp);
  if (o->tls)
    run->setup.tls = tls_context_new(&o->tls_options);
  if (o->check)
    run->reference = reference_open(o->check);
  if (o->trace)
    trace_read(&run->trace, o->trace);
  if (run_is(run, OPERATION_REQUESTS) || o->trace)
    make_payload(run);

  run->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (run->epoll < 0)
    fail(FAIL_SYSTEM, "epoll_create1: %s", strerror(errno));
  run->lanes = xcalloc(o->connections, sizeof *run->lanes);
  for (unsigned i = 0; i < o->connections; i++)
    prepare_lane(run, i);
}

static void
clean_up(struct run *run)
{
  for (unsigned i = 0; i < run->options->connections; i++) {
    conn_close(&run->lanes[i].conn);
    conn_free(&run->lanes[i].conn);
    free(run->lanes[i].payloads);
    free(run->lanes[i].export_name);
  }
  free(run->lanes);
  close(run->epoll);
  free(run->payload);
  trace_free(&run->trace);
  reference_close(run->reference);
  ledger_free(run->ledger);
  tls_context_free(run->setup.tls);
}

void
load_run(const struct options *options, struct result *result,
         void (*tell)(const struct options *, const struct result *))
{
  struct run run = {.options = options, .result = result};

  *result = (struct result){0};
  prepare(&run);
  enter(&run, PHASE_CONNECTING);
  open_lanes(&run);
  loop(&run);
  tell(options, result);
  if (run_is(&run, OPERATION_IDLE) || options->stay)
    stay(options);
  clean_up(&run);
}
