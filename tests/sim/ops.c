/* SPDX-License-Identifier: BSD-2-Clause */
/* ops.c: see parts.h. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "parts.h"

static void
wake(struct vhd_request *req)
{
  struct run *r = req->opaque;

  r->state = READY;
}

static void
start_run(struct life *l, struct op *op, struct run *r, uint64_t off,
          uint64_t len)
{
  r->op = op;
  r->outstanding = 0;
  r->state = READY;
  int e = vhd_request_start(&r->req, l->image, op->kind, off, len,
                            op->buf + (off - op->off), op->flags);
  if (e < 0)
    life_fault(l, "a request was refused: %s", strerror(-e));
  r->req.wake = wake;
  r->req.opaque = r;
  r->req.runs = op->runs;
  r->req.max_runs = PIN_RUNS;
  op->running++;
}

static bool
range_free(const struct life *l, uint64_t off, uint64_t len)
{
  for (uint64_t sec = off / 512; len > 0 && sec <= (off + len - 1) / 512;
       sec++)
    if (l->model->sector[sec].writing)
      return false;
  return true;
}

/* A range, mostly small, often whole blocks, sometimes at odd bytes. */
static void
choose_range(struct op *op)
{
  switch (chance_below(5)) {
  case 0: /* whole blocks */
    op->off = chance_below(SIM_BLOCKS) * SIM_BLOCK;
    op->len = (1 + chance_below(2)) * SIM_BLOCK;
    break;
  case 1: /* odd bytes */
    op->off = chance_below(SIM_SIZE);
    op->len = 1 + chance_below(2000);
    break;
  default:
    op->off = chance_below(SIM_SECTORS) * 512;
    op->len = (1 + chance_below(chance_below(2) ? 3 : 20)) * 512;
  }
  op->len = MIN(MIN(op->len, SIM_SIZE - op->off), MAX_LEN);
}

static enum vhd_op
choose_kind(void)
{
  static const enum vhd_op kinds[] = { VHD_WRITE, VHD_WRITE, VHD_WRITE,
    VHD_WRITE, VHD_READ, VHD_READ, VHD_ZERO, VHD_TRIM, VHD_TRIM, VHD_FLUSH,
    VHD_RECLAIM };

  return kinds[chance_below(sizeof kinds / sizeof *kinds)];
}

/* Two writes to the two halves of one sector. */
static void
start_twins(struct life *l, struct op *op)
{
  uint64_t half = 1 + chance_below(511);

  op->off = round_down(op->off, 512);
  op->len = 512;
  model_begin(l->model, op->off, half, op->buf);
  model_begin(l->model, op->off + half, 512 - half, op->buf + half);
  model_begin(l->model, op->off, 512, op->buf);
  start_run(l, op, &op->run[0], op->off, half);
  start_run(l, op, &op->run[1], op->off + half, 512 - half);
}

/* Clients that hold an answer, or are about to. */
static unsigned
nheld(const struct life *l)
{
  unsigned n = 0;

  for (unsigned i = 0; i < MAX_OPS; i++)
    n += l->op[i].held || (l->op[i].running > 0 && l->op[i].kind == VHD_MAP);
  return n;
}

void
ops_start(struct life *l)
{
  struct op *op = NULL;

  for (unsigned i = 0; i < MAX_OPS && !op; i++)
    if (l->op[i].running == 0 && !l->op[i].held)
      op = &l->op[i];
  op->kind = choose_kind();
  if (l->opt->pins && nheld(l) < MAX_PINS && chance_one_in(8))
    op->kind = VHD_MAP;
  if (l->file->failed && chance_one_in(3))
    op->kind = VHD_FLUSH; /* what failed is to be tried again */
  op->flags = 0;
  op->result = 0;
  op->patience = chance_one_in(4) ? (unsigned)chance_below(80) : 0;
  op->off = op->len = 0;
  if (op->kind != VHD_FLUSH && op->kind != VHD_RECLAIM)
    choose_range(op);
  bool changes = op->kind == VHD_WRITE || op->kind == VHD_ZERO ||
                 op->kind == VHD_TRIM;
  if (changes && (!range_free(l, op->off, op->len) || !model_room(l->model))) {
    op->kind = VHD_FLUSH;
    op->off = op->len = 0;
    changes = false;
  }
  if (changes && chance_one_in(6))
    op->flags |= VHD_FUA;
  if (op->kind == VHD_ZERO && chance_one_in(3))
    op->flags |= VHD_NO_HOLE;
  if (op->kind == VHD_MAP) {
    op->flags |= VHD_PIN;
    op->off = round_down(op->off, 512);
    op->len = round_up(op->len, 512);
  }
  for (uint64_t i = 0; op->kind == VHD_WRITE && i < op->len + 512 &&
                       i < MAX_LEN; i += 8) {
    uint64_t v = chance_random();
    memcpy(op->buf + i, &v, 8);
  }
  l->started++;
  l->active++;
  op->since = l->model->now;
  if (op->kind == VHD_WRITE && op->flags == 0 && chance_one_in(5)) {
    start_twins(l, op);
    return;
  }
  if (changes)
    model_begin(l->model, op->off, op->len,
                op->kind == VHD_WRITE ? op->buf : NULL);
  start_run(l, op, &op->run[0], op->off, op->len);
}

/* Reads what was left open: a trim, a failed write. */
static void
resolve(struct life *l, struct op *op)
{
  uint64_t from = round_down(op->off, 512);
  struct run *r = &op->run[0];

  op->resolving = true;
  op->result = 0;
  r->op = op;
  r->state = READY;
  int e = vhd_request_start(&r->req, l->image, VHD_READ, from,
                            round_up(op->off + op->len, 512) - from, op->found,
                            0);
  if (e < 0)
    life_fault(l, "a read was refused: %s", strerror(-e));
  r->req.wake = wake;
  r->req.opaque = r;
  op->running++;
  l->active++;
}

static void
resolved(struct life *l, struct op *op)
{
  uint64_t from = round_down(op->off, 512);
  uint64_t len = round_up(op->off + op->len, 512) - from;

  op->resolving = false;
  for (uint64_t i = 0; i < len; i += 512)
    if (!model_allows(l->model, (uint32_t)((from + i) / 512), op->found + i,
                      op->since))
      life_fault(l, "sector %u is neither old nor new",
                 (uint32_t)((from + i) / 512));
  if (op->sure) {
    model_done(l->model, from, len, op->found, op->flags & VHD_FUA);
  } else {
    model_unsure(l->model, op->off, op->len);
    memcpy(l->model->bytes + from, op->found, len);
  }
}

static void
check_read(struct life *l, struct op *op)
{
  for (uint64_t pos = round_up(op->off, 512); pos + 512 <= op->off + op->len;
       pos += 512)
    if (!model_allows(l->model, (uint32_t)(pos / 512),
                      op->buf + (pos - op->off), op->since))
      life_fault(l, "a read saw sector %u as none of its values",
            (uint32_t)(pos / 512));
}

/* The model forgets what nobody can see any more. */
static void
note_oldest(struct life *l)
{
  l->model->oldest = l->model->now;
  for (unsigned i = 0; i < MAX_OPS; i++)
    if (l->op[i].running > 0 || l->op[i].held)
      l->model->oldest = MIN(l->model->oldest, l->op[i].since);
}

/* On a disk that is full a request for space may fail; what was acknowledged
 * needs no more, so a flush may not. */
static bool
may_fail(const struct life *l, const struct op *op)
{
  bool asks = op->kind == VHD_WRITE || op->kind == VHD_ZERO;

  return l->file->failed ||
         (l->opt->full && asks &&
          (op->result == -ENOSPC || op->result == -EDQUOT));
}

static void
end_change(struct life *l, struct op *op)
{
  op->sure = op->result == 0;
  if (op->kind == VHD_TRIM || op->result < 0)
    resolve(l, op);
  else
    model_done(l->model, op->off, op->len,
               op->kind == VHD_WRITE ? op->buf : NULL, op->flags & VHD_FUA);
}

void
ops_end(struct life *l, struct op *op)
{
  note_oldest(l);
  l->active--;
  if (op->resolving) {
    if (op->result == 0)
      resolved(l, op);
    else if (l->file->failed)
      resolve(l, op);
    else
      life_fault(l, "cannot read: %s", strerror(-op->result));
    return;
  }
  l->result->requests++;
  l->result->refused += op->result == -ENOSPC;
  if (op->result < 0 && !may_fail(l, op))
    life_fault(l, "request of kind %d failed: %s", op->kind,
               strerror(-op->result));
  switch (op->kind) {
  case VHD_READ:
    if (op->result == 0)
      check_read(l, op);
    break;
  case VHD_MAP:
    op->held = op->result == 0;
    break;
  case VHD_FLUSH:
    if (op->result == 0)
      model_flushed(l->model, op->since);
    break;
  case VHD_RECLAIM:
    break;
  default:
    end_change(l, op);
  }
}

/* ------------------------------------------------------------- held answers */

/* What such a client sends at last may be old or new, but is its block's. */
static void
check_held(struct life *l, const struct op *op, const struct vhd_run *run,
           uint64_t off)
{
  const struct content *c = &l->file->cache;

  for (uint64_t at = 0; at < run->len; at += 512) {
    uint32_t sec = (uint32_t)((off + at) / 512);
    if (run->file_off + at + 512 > c->size ||
        model_allows(l->model, sec, c->bytes + run->file_off + at, op->since))
      continue;
    life_fault(l, "who looked long ago sees sector %u as none of its values",
               sec);
  }
}

void
ops_unpin(struct life *l)
{
  for (unsigned i = 0; i < MAX_OPS; i++) {
    struct op *op = &l->op[i];
    struct vhd_request *req = &op->run[0].req;
    uint64_t off = op->off;
    if (!op->held)
      continue;
    for (unsigned r = 0; r < req->nruns; off += op->runs[r++].len)
      if (op->runs[r].kind == VHD_RUN_DATA &&
          simfile_of(op->runs[r].file) == l->file)
        check_held(l, op, &op->runs[r], off);
    vhd_request_end(req);
    op->held = false;
  }
}

/* ----------------------------------------------------------------- recovery */

void
ops_recover(struct life *l)
{
  static uint8_t disk[SIM_SIZE], block[SIM_BLOCK];
  int e = 0;

  memset(block, 0x5a, sizeof block);
  /* Where there are more blocks past the end than are kept one by one, what
   * former lives freed between them is not found. */
  if (l->si.nancestor == 0 && !l->image->top->fixed &&
      l->image->top->nallocated > 0 &&
      (l->si.kind != SIM_LONG_TABLE || SIM_SPARE <= SPARE_MAX)) {
    e = vhd_trim(l->image, SIM_SIZE, 0, 0);
    if (e == 0)
      e = vhd_pwrite(l->image, block, sizeof block, SIM_BLOCK, 0);
    if (e < 0)
      life_fault(l, "what was trimmed cannot be written anew: %s",
                 strerror(-e));
  }
  if (e == 0)
    e = vhd_flush(l->image);
  if (e == 0)
    e = vhd_pread(l->image, disk, SIM_SIZE, 0);
  if (e < 0)
    life_fault(l, "a full disk cannot be flushed and read: %s", strerror(-e));
  else
    model_reset(l->model, disk);
}
