/* SPDX-License-Identifier: BSD-2-Clause
 *
 * load: the run itself. See load.h.
 *
 * Phases, in this order; the ones in brackets depend on the operation:
 *
 *   CONNECTING  until every connection is negotiated
 *   [WARMING]   requests flow, nothing is counted
 *   MEASURING   between two readings of all clocks
 *   DRAINING    no new requests, until none is in flight
 *   [VERIFYING] what this run has written is read back
 *   DONE
 *
 * A connection's turn is: receive what is there, let each answered request make
 * the next one, send all of those at once. The clock is read once a turn.
 */

#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "conn.h"
#include "content.h"
#include "fail.h"
#include "load.h"

#define EVENTS_MAX 256
#define PATIENCE_MS 30000
#define NS_PER_S 1e9
#define STATUS_MAX UINT32_C(0xffff0000)  /* as much as one request can ask */

enum phase {
  CONNECTING,
  WARMING,
  MEASURING,
  DRAINING,
  VERIFYING,
  DONE,
};

/* A connection and what the loop knows about it. */
struct lane {
  struct conn conn;
  bool watches_output;
  bool reopen;          /* ready and counted: disconnect, connect again */
  uint64_t opened_ns;
  uint64_t cursor;      /* sequential: blocks done of its own part */
  uint8_t *payloads;    /* --verify: a block for each slot */
};

struct load {
  const struct options *options;
  struct result *result;
  struct conn_setup setup;
  struct lane *lanes;
  int epoll;

  enum phase phase;
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
  struct reference *reference;
  struct ledger *ledger;
  uint64_t verify_next;
};

static uint64_t
clock_ns(void)
{
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint64_t
now(struct load *load)
{
  if (!load->now_ns)
    load->now_ns = clock_ns();
  return load->now_ns;
}

/* xorshift64*: quick, and the same for the same seed. */
static uint64_t
next_random(struct load *load)
{
  uint64_t x = load->random;

  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  load->random = x;
  return x * UINT64_C(2685821657736338717);
}

static bool
is_operation(const struct load *load, enum operation_kind kind)
{
  return load->options->operation->kind == kind;
}

/* --- Making requests --------------------------------------------------- */

/* The block a lane's next request is for. */
static uint64_t
next_block(struct load *load, struct lane *lane)
{
  if (!load->options->sequential)
    return (next_random(load) >> 16) % load->blocks;

  uint64_t share = load->blocks / load->options->connections;
  if (share == 0)
    share = load->blocks;
  uint64_t first = (lane->conn.id * share) % load->blocks;
  return first + lane->cursor++ % share;
}

static void
queue(struct load *load, struct lane *lane, struct slot *slot)
{
  conn_queue(&lane->conn, slot, now(load));
  if (load->phase == MEASURING)
    load->result->requests++;
}

/* Fill SLOT with the operation's next request. */
static void
make_request(struct load *load, struct lane *lane, struct slot *slot)
{
  const struct options *o = load->options;
  uint64_t block = next_block(load, lane);

  while (load->ledger && ledger_is_busy(load->ledger, block))
    block = next_block(load, lane);
  slot->request = (struct nbd_request){
    .command = o->operation->command,
    .flags = o->operation->flags | (o->no_hole ? NBD_CMD_FLAG_NO_HOLE : 0),
    .offset = o->offset + block * o->block,
    .length = o->block,
  };
  if (slot->request.command == NBD_CMD_FLUSH)
    slot->request.offset = slot->request.length = 0;
  if (slot->request.command != NBD_CMD_WRITE)
    return;

  slot->payload = load->payload;
  if (load->ledger) {
    uint8_t *payload =
      lane->payloads + (slot - lane->conn.slots) * o->block;
    ledger_begin(load->ledger, block, payload);
    slot->payload = payload;
  }
}

static void
make_flush(struct slot *slot)
{
  slot->request = (struct nbd_request){.command = NBD_CMD_FLUSH};
  slot->payload = NULL;
}

/* Ask for the status of what remains of the range. */
static void
make_status(struct load *load, struct slot *slot)
{
  uint64_t left = load->options->offset + load->range - slot->position;

  slot->request = (struct nbd_request){
    .command = NBD_CMD_BLOCK_STATUS,
    .offset = slot->position,
    .length = left < STATUS_MAX ? (uint32_t)left : STATUS_MAX,
  };
}

static void
make_readback(struct load *load, struct slot *slot)
{
  const struct options *o = load->options;

  slot->request = (struct nbd_request){
    .command = NBD_CMD_READ,
    .offset = o->offset + load->verify_next * o->block,
    .length = o->block,
  };
  load->verify_next = ledger_next(load->ledger, load->verify_next + 1);
}

static bool
may_issue(const struct load *load)
{
  uint64_t count = load->options->count;

  if (is_operation(load, OPERATION_CONNECT))
    return false;
  switch (load->phase) {
  case WARMING:
    return true;
  case MEASURING:
    return !count || load->issued < count;
  case VERIFYING:
    return load->verify_next < load->blocks;
  default:
    return false;
  }
}

static void
fill(struct load *load, struct lane *lane)
{
  if (load->options->burst && conn_in_flight(&lane->conn))
    return;
  while (lane->conn.free_count && may_issue(load)) {
    struct slot *slot = conn_take_slot(&lane->conn);
    slot->step = 0;
    if (load->phase == VERIFYING) {
      make_readback(load, slot);
    } else if (is_operation(load, OPERATION_STATUS)) {
      slot->position = load->options->offset;
      make_status(load, slot);
    } else {
      make_request(load, lane, slot);
    }
    load->issued++;
    load->in_flight++;
    queue(load, lane, slot);
  }
}

/* --- What came back ---------------------------------------------------- */

static struct lane *
lane_of(struct conn *c)
{
  return (struct lane *)((char *)c - offsetof(struct lane, conn));
}

static void
count_operation(struct load *load, uint64_t began_ns)
{
  if (load->phase != MEASURING)
    return;
  load->result->count++;
  histogram_add(&load->result->latency, now(load) - began_ns);
}

static void
handle_ready(struct conn *c)
{
  struct load *load = c->setup->owner;
  struct lane *lane = lane_of(c);

  if (is_operation(load, OPERATION_CONNECT) && load->phase != CONNECTING) {
    count_operation(load, lane->opened_ns);
    lane->reopen = true;
  } else {
    load->ready_count++;
  }
}

static void
handle_data(struct conn *c, uint64_t offset, const uint8_t *data, size_t n)
{
  struct load *load = c->setup->owner;

  if (load->phase == VERIFYING)
    ledger_compare(load->ledger, offset, data, n);
  else if (load->reference)
    reference_compare(load->reference, offset, data, n);
}

static void
handle_extent(struct conn *c, struct slot *slot, uint32_t len, uint32_t flags)
{
  struct load *load = c->setup->owner;

  (void)flags;
  if (len == 0)
    fail(FAIL_SERVER, "connection %u: an extent of no length", c->id);
  slot->position += len;
  if (load->phase == MEASURING)
    load->result->extents++;
}

static void
note_error(struct load *load, const struct slot *slot)
{
  if (!load->result->errors++)
    load->result->first_error = slot->error;
}

/* A compound operation's next request. Returns false if there is none. */
static bool
go_on(struct load *load, struct lane *lane, struct slot *slot)
{
  const struct operation *operation = load->options->operation;

  if (slot->error || load->phase == VERIFYING)
    return false;
  if (operation->then_flush && slot->step == 0) {
    slot->step = 1;
    make_flush(slot);
  } else if (operation->kind == OPERATION_STATUS &&
             slot->position < load->options->offset + load->range) {
    if (slot->position == slot->request.offset)
      fail(FAIL_SERVER, "connection %u: block status makes no progress",
           lane->conn.id);
    make_status(load, slot);
  } else {
    return false;
  }
  /* It keeps its slot, and the time at which the operation began. */
  uint64_t began_ns = slot->queued_ns;
  struct slot *same = conn_take_slot(&lane->conn);
  if (same != slot)
    fail(FAIL_SYSTEM, "the slot just freed is not the next one");
  slot->payload = NULL;
  queue(load, lane, slot);
  slot->queued_ns = began_ns;
  return true;
}

static void
handle_done(struct conn *c, struct slot *slot)
{
  struct load *load = c->setup->owner;
  const struct options *o = load->options;

  if (load->ledger && slot->request.command == NBD_CMD_WRITE)
    ledger_end(load->ledger, (slot->request.offset - o->offset) / o->block,
               !slot->error);
  if (go_on(load, lane_of(c), slot))
    return;

  load->in_flight--;
  if (slot->error) {
    note_error(load, slot);
  } else if (load->phase == VERIFYING) {
    load->result->verified++;
  } else {
    if (load->phase == MEASURING && is_operation(load, OPERATION_REQUESTS) &&
        o->operation->command != NBD_CMD_FLUSH)
      load->result->bytes += o->block;
    count_operation(load, slot->queued_ns);
  }
}

static const struct conn_handler handler = {
  .ready = handle_ready,
  .data = handle_data,
  .extent = handle_extent,
  .done = handle_done,
};

/* --- Phases ------------------------------------------------------------ */

static void
enter(struct load *load, enum phase phase)
{
  load->phase = phase;
  load->phase_ns = now(load);
}

static void
begin_measuring(struct load *load)
{
  load->server_then = cpu_meter_read(&load->options->server);
  load->client_then = cpu_own();
  load->now_ns = 0;
  enter(load, MEASURING);
}

static void
end_measuring(struct load *load)
{
  struct result *result = load->result;

  result->seconds = (now(load) - load->phase_ns) / NS_PER_S;
  result->client = cpu_time_since(cpu_own(), load->client_then);
  result->server = cpu_time_since(cpu_meter_read(&load->options->server),
                                  load->server_then);
  enter(load, DRAINING);
}

/* How much of the export this run is about. */
static void
find_range(struct load *load)
{
  const struct options *o = load->options;
  uint64_t size = load->lanes[0].conn.export_size;

  load->result->export_size = size;
  if (o->offset >= size)
    fail(FAIL_USAGE, "--offset lies past the export's %llu bytes",
         (unsigned long long)size);
  load->range = size - o->offset;
  if (o->range && o->range < load->range)
    load->range = o->range;
  load->blocks = load->range / o->block;
  if (!load->blocks)
    fail(FAIL_USAGE, "--block is larger than the range");
}

static void
make_ledger(struct load *load)
{
  const struct options *o = load->options;

  if (load->blocks < 2 * o->depth * o->connections)
    fail(FAIL_USAGE, "--verify needs a range of at least twice the requests "
         "in flight");
  load->ledger = ledger_new(o->offset, load->blocks, o->block, o->seed);
  for (unsigned i = 0; i < o->connections; i++)
    load->lanes[i].payloads = xcalloc(o->depth, o->block);
}

/* Give every lane its first requests. */
static void
fill_all(struct load *load)
{
  for (unsigned i = 0; i < load->options->connections; i++) {
    fill(load, &load->lanes[i]);
    conn_output(&load->lanes[i].conn);
  }
}

static void
all_connected(struct load *load)
{
  const struct options *o = load->options;

  load->result->connect_seconds = (now(load) - load->phase_ns) / NS_PER_S;
  if (is_operation(load, OPERATION_IDLE)) {
    enter(load, DONE);
    return;
  }
  find_range(load);
  if (o->verify)
    make_ledger(load);
  if (o->count)
    begin_measuring(load);
  else
    enter(load, WARMING);

  if (is_operation(load, OPERATION_CONNECT)) {
    for (unsigned i = 0; i < o->connections; i++)
      load->lanes[i].reopen = true;
  } else {
    fill_all(load);
  }
}

static void
all_drained(struct load *load)
{
  if (load->ledger && load->phase == DRAINING) {
    enter(load, VERIFYING);
    load->verify_next = ledger_next(load->ledger, 0);
    fill_all(load);
    if (load->in_flight)
      return;
  }
  enter(load, DONE);
}

/* Is it time for the next phase? */
static void
check_phase(struct load *load)
{
  const struct options *o = load->options;
  double elapsed = (now(load) - load->phase_ns) / NS_PER_S;

  switch (load->phase) {
  case CONNECTING:
    if (load->ready_count == o->connections)
      all_connected(load);
    break;
  case WARMING:
    if (elapsed >= o->warmup)
      begin_measuring(load);
    break;
  case MEASURING:
    if (o->count ? load->result->count + load->result->errors >= o->count
                 : elapsed >= o->seconds)
      end_measuring(load);
    break;
  default:
    break;
  }
  if ((load->phase == DRAINING || load->phase == VERIFYING) &&
      !load->in_flight)
    all_drained(load);
}

/* --- The loop ---------------------------------------------------------- */

static void
watch(struct load *load, struct lane *lane, int how)
{
  bool output = conn_wants_output(&lane->conn);
  struct epoll_event event = {
    .events = EPOLLIN | (output ? EPOLLOUT : 0),
    .data.ptr = lane,
  };

  if (how == EPOLL_CTL_MOD && output == lane->watches_output)
    return;
  lane->watches_output = output;
  if (epoll_ctl(load->epoll, how, lane->conn.stream.fd, &event) < 0)
    fail(FAIL_SYSTEM, "epoll_ctl: %s", strerror(errno));
}

static void
open_lane(struct load *load, struct lane *lane)
{
  lane->reopen = false;
  lane->opened_ns = clock_ns();
  conn_open(&lane->conn);
  watch(load, lane, EPOLL_CTL_ADD);
}

static void
take_turn(struct load *load, struct lane *lane, unsigned events, bool wait)
{
  if (events & EPOLLOUT)
    conn_output(&lane->conn);
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
    conn_input(&lane->conn, wait);
  if (lane->conn.state == CONN_READY) {
    fill(load, lane);
    if (lane->conn.queue_count)
      conn_output(&lane->conn);
  }
  watch(load, lane, EPOLL_CTL_MOD);
}

/* With one connection that only has to receive, the receive itself can wait:
 * a system call less than asking epoll first. */
static bool
can_wait_in_receive(const struct load *load)
{
  const struct conn *c = &load->lanes[0].conn;

  return load->options->connections == 1 && !load->options->spin &&
    c->state == CONN_READY && conn_in_flight(c) && !conn_wants_output(c);
}

static void
turn_all(struct load *load)
{
  struct epoll_event events[EVENTS_MAX];
  int n = epoll_wait(load->epoll, events, EVENTS_MAX,
                     load->options->spin ? 0 : PATIENCE_MS);

  load->now_ns = 0;
  if (n < 0 && errno != EINTR)
    fail(FAIL_SYSTEM, "epoll_wait: %s", strerror(errno));
  if (n == 0 && !load->options->spin)
    fail(FAIL_SERVER, "no answer for %d seconds", PATIENCE_MS / 1000);
  for (int i = 0; i < n; i++) {
    load->now_ns = 0;
    take_turn(load, events[i].data.ptr, events[i].events, false);
  }
}

static void
reopen_lanes(struct load *load)
{
  for (unsigned i = 0; i < load->options->connections; i++) {
    struct lane *lane = &load->lanes[i];
    if (!lane->reopen || load->phase > MEASURING)
      continue;
    conn_close(&lane->conn);
    open_lane(load, lane);
  }
}

static void
loop(struct load *load)
{
  while (load->phase != DONE) {
    if (can_wait_in_receive(load)) {
      load->now_ns = 0;
      take_turn(load, &load->lanes[0], EPOLLIN, true);
    } else {
      turn_all(load);
    }
    check_phase(load);
    if (is_operation(load, OPERATION_CONNECT))
      reopen_lanes(load);
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
make_payload(struct load *load)
{
  uint64_t block = load->options->block;

  if (posix_memalign((void **)&load->payload, 4096, block + 4096) != 0)
    fail(FAIL_SYSTEM, "out of memory");
  for (uint64_t i = 0; i < block; i++)
    load->payload[i] = (uint8_t)next_random(load) | 1;
}

static void
prepare(struct load *load)
{
  const struct options *o = load->options;

  load->random = o->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
  load->setup = (struct conn_setup){
    .wishes = {
      .export_name = o->export_name,
      .tls = o->tls,
      .structured = o->structured,
      .status = is_operation(load, OPERATION_STATUS),
    },
    .handler = &handler,
    .owner = load,
    .depth = o->depth,
    .one_by_one = o->one_by_one,
  };
  if (o->unix_path)
    stream_address_unix(&load->setup.address, o->unix_path);
  else
    stream_address_tcp(&load->setup.address, o->tcp);
  if (o->tls)
    load->setup.tls = tls_context_new(&o->tls_options);
  if (o->check)
    load->reference = reference_open(o->check);
  if (is_operation(load, OPERATION_REQUESTS))
    make_payload(load);

  load->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (load->epoll < 0)
    fail(FAIL_SYSTEM, "epoll_create1: %s", strerror(errno));
  load->lanes = xcalloc(o->connections, sizeof *load->lanes);
  for (unsigned i = 0; i < o->connections; i++)
    conn_init(&load->lanes[i].conn, i, &load->setup);
}

static void
clean_up(struct load *load)
{
  for (unsigned i = 0; i < load->options->connections; i++) {
    conn_close(&load->lanes[i].conn);
    conn_free(&load->lanes[i].conn);
    free(load->lanes[i].payloads);
  }
  free(load->lanes);
  close(load->epoll);
  free(load->payload);
  reference_close(load->reference);
  ledger_free(load->ledger);
  tls_context_free(load->setup.tls);
}

void
load_run(const struct options *options, struct result *result,
         void (*ready)(const struct options *, const struct result *))
{
  struct load load = {.options = options, .result = result};

  *result = (struct result){0};
  prepare(&load);
  enter(&load, CONNECTING);
  for (unsigned i = 0; i < options->connections; i++)
    open_lane(&load, &load.lanes[i]);
  loop(&load);
  if (is_operation(&load, OPERATION_IDLE)) {
    ready(options, result);
    stay(options);
  }
  clean_up(&load);
}
