/* SPDX-License-Identifier: BSD-2-Clause
 *
 * requests: what is asked, and what is made of the answers. See requests.h.
 */

#include "config.h"

#include "fail.h"
#include "requests.h"

#define STATUS_MAX UINT32_C(0xffff0000)  /* as much as one request can ask */

/* --- Making requests --------------------------------------------------- */

/* The block a lane's next request is for. */
static uint64_t
next_block(struct run *run, struct lane *lane)
{
  if (!run->options->sequential)
    return (run_random(run) >> 16) % run->blocks;

  uint64_t share = run->blocks / run->options->connections;
  if (share == 0)
    share = run->blocks;
  uint64_t first = (lane->conn.id * share) % run->blocks;
  return first + lane->cursor++ % share;
}

static void
queue(struct run *run, struct lane *lane, struct slot *slot)
{
  conn_queue(&lane->conn, slot, run_now(run));
  if (run->phase == PHASE_MEASURING)
    run->result->requests++;
}

/* Fill SLOT with the operation's next request. */
static void
make_request(struct run *run, struct lane *lane, struct slot *slot)
{
  const struct options *o = run->options;
  uint64_t block = next_block(run, lane);

  while (run->ledger && ledger_is_busy(run->ledger, block))
    block = next_block(run, lane);
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

  slot->payload = run->payload;
  if (run->ledger) {
    uint8_t *payload =
      lane->payloads + (slot - lane->conn.slots) * o->block;
    ledger_begin(run->ledger, block, payload);
    slot->payload = payload;
  }
}

static void
make_flush(struct slot *slot)
{
  slot->request = (struct nbd_request){.command = NBD_CMD_FLUSH};
  slot->payload = NULL;
}

/* The next step of the trace. A flush is for what was answered before it. */
static void
make_replayed(struct run *run, struct lane *lane, struct slot *slot)
{
  const struct trace_step *step = &run->trace.steps[lane->cursor++];

  slot->request = (struct nbd_request){
    .command = step->command,
    .offset = step->offset,
    .length = step->length,
  };
  slot->payload = step->command == NBD_CMD_WRITE ? run->payload : NULL;
  lane->flushing = step->command == NBD_CMD_FLUSH;
  run->replayed += lane->cursor == run->trace.count;
}

static bool
may_replay(const struct run *run, const struct lane *lane)
{
  return lane->cursor < run->trace.count && !lane->flushing &&
         (run->trace.steps[lane->cursor].command != NBD_CMD_FLUSH ||
          conn_in_flight(&lane->conn) == 0);
}

/* Ask for the status of what remains of the range. */
static void
make_status(struct run *run, struct slot *slot)
{
  uint64_t left = run->options->offset + run->range - slot->position;

  slot->request = (struct nbd_request){
    .command = NBD_CMD_BLOCK_STATUS,
    .offset = slot->position,
    .length = left < STATUS_MAX ? (uint32_t)left : STATUS_MAX,
  };
}

static void
make_readback(struct run *run, struct slot *slot)
{
  const struct options *o = run->options;

  slot->request = (struct nbd_request){
    .command = NBD_CMD_READ,
    .offset = o->offset + run->verify_next * o->block,
    .length = o->block,
  };
  run->verify_next = ledger_next(run->ledger, run->verify_next + 1);
}

static bool
may_issue(const struct run *run, const struct lane *lane)
{
  uint64_t count = run->options->count;

  if (run_is(run, OPERATION_CONNECT))
    return false;
  if (run_is(run, OPERATION_REPLAY))
    return run->phase == PHASE_MEASURING && may_replay(run, lane);
  switch (run->phase) {
  case PHASE_WARMING:
    return true;
  case PHASE_MEASURING:
    return !count || run->issued < count;
  case PHASE_VERIFYING:
    return run->verify_next < run->blocks;
  default:
    return false;
  }
}

void
requests_fill(struct run *run, struct lane *lane)
{
  if (run->options->burst && conn_in_flight(&lane->conn))
    return;
  while (lane->conn.free_count && may_issue(run, lane)) {
    struct slot *slot = conn_take_slot(&lane->conn);
    slot->step = 0;
    if (run->phase == PHASE_VERIFYING) {
      make_readback(run, slot);
    } else if (run_is(run, OPERATION_STATUS)) {
      slot->position = run->options->offset;
      make_status(run, slot);
    } else if (run_is(run, OPERATION_REPLAY)) {
      make_replayed(run, lane, slot);
    } else {
      make_request(run, lane, slot);
    }
    run->issued++;
    run->in_flight++;
    queue(run, lane, slot);
  }
}

/* --- What came back ---------------------------------------------------- */

static struct lane *
lane_of(struct conn *c)
{
  return (struct lane *)((char *)c - offsetof(struct lane, conn));
}

static void
count_operation(struct run *run, uint64_t began_ns)
{
  if (run->phase != PHASE_MEASURING)
    return;
  run->result->count++;
  histogram_add(&run->result->latency, run_now(run) - began_ns);
}

static void
handle_ready(struct conn *c)
{
  struct run *run = c->setup->owner;
  struct lane *lane = lane_of(c);

  if (run_is(run, OPERATION_CONNECT) && run->phase != PHASE_CONNECTING) {
    count_operation(run, lane->opened_ns);
    lane->reopen = true;
  } else {
    run->ready_count++;
  }
}

static void
handle_data(struct conn *c, uint64_t offset, const uint8_t *data, size_t n)
{
  struct run *run = c->setup->owner;

  if (run->phase == PHASE_VERIFYING)
    ledger_compare(run->ledger, offset, data, n);
  else if (run->reference)
    reference_compare(run->reference, offset, data, n);
}

static void
handle_extent(struct conn *c, struct slot *slot, uint32_t len, uint32_t flags)
{
  struct run *run = c->setup->owner;

  (void)flags;
  if (len == 0)
    fail(FAIL_SERVER, "connection %u: an extent of no length", c->id);
  slot->position += len;
  if (run->phase == PHASE_MEASURING)
    run->result->extents++;
}

static void
note_error(struct run *run, const struct slot *slot)
{
  if (!run->result->errors++)
    run->result->first_error = slot->error;
}

/* A compound operation's next request. Returns false if there is none. */
static bool
go_on(struct run *run, struct lane *lane, struct slot *slot)
{
  const struct operation *operation = run->options->operation;

  if (slot->error || run->phase == PHASE_VERIFYING)
    return false;
  if (operation->then_flush && slot->step == 0) {
    slot->step = 1;
    make_flush(slot);
  } else if (operation->kind == OPERATION_STATUS &&
             slot->position < run->options->offset + run->range) {
    if (slot->position == slot->request.offset)
      fail(FAIL_SERVER, "connection %u: block status makes no progress",
           lane->conn.id);
    make_status(run, slot);
  } else {
    return false;
  }
  /* It keeps its slot, and the time at which the operation began. */
  uint64_t began_ns = slot->queued_ns;
  struct slot *same = conn_take_slot(&lane->conn);
  if (same != slot)
    fail(FAIL_SYSTEM, "the slot just freed is not the next one");
  slot->payload = NULL;
  queue(run, lane, slot);
  slot->queued_ns = began_ns;
  return true;
}

static uint64_t
bytes_of(const struct run *run, const struct slot *slot)
{
  return run_is(run, OPERATION_REQUESTS) || run_is(run, OPERATION_REPLAY)
           ? slot->request.length
           : 0;
}

static void
handle_done(struct conn *c, struct slot *slot)
{
  struct run *run = c->setup->owner;
  const struct options *o = run->options;

  if (run->ledger && slot->request.command == NBD_CMD_WRITE)
    ledger_end(run->ledger, (slot->request.offset - o->offset) / o->block,
               !slot->error);
  if (go_on(run, lane_of(c), slot))
    return;

  run->in_flight--;
  lane_of(c)->flushing = false;
  if (slot->error) {
    note_error(run, slot);
  } else if (run->phase == PHASE_VERIFYING) {
    run->result->verified++;
  } else {
    if (run->phase == PHASE_MEASURING)
      run->result->bytes += bytes_of(run, slot);
    count_operation(run, slot->queued_ns);
  }
}

const struct conn_handler requests_handler = {
  .ready = handle_ready,
  .data = handle_data,
  .extent = handle_extent,
  .done = handle_done,
};
