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
    VHD_WRITE, VHD_READ, VHD_READ, VHD_ZERO, VHD_TRIM, VHD_TRIM, VHD_FLUSH };

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

void
ops_start(struct life *l)
{
  struct op *op = NULL;

  for (unsigned i = 0; i < MAX_DEPTH && !op; i++)
    if (l->op[i].running == 0)
      op = &l->op[i];
  op->kind = choose_kind();
  if (l->file->failed && chance_one_in(3))
    op->kind = VHD_FLUSH; /* what failed is to be tried again */
  op->flags = 0;
  op->result = 0;
  op->patience = chance_one_in(4) ? (unsigned)chance_below(80) : 0;
  op->off = op->len = 0;
  if (op->kind != VHD_FLUSH)
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

/* What was left open: a trim, a failed write.  Finds out. */
static void
resolve(struct life *l, struct op *op, bool sure)
{
  uint64_t from = round_down(op->off, 512);
  uint64_t len = round_up(op->off + op->len, 512) - from;
  static uint8_t bytes[MAX_LEN + 1024];

  uint64_t fail_at = l->file->fail_at;
  l->file->fail_at = 0;
  int e = vhd_pread(l->image, bytes, len, from);
  l->file->fail_at = fail_at;
  if (e < 0) {
    life_fault(l, "cannot read: %s", strerror(-e));
    return;
  }
  for (uint64_t i = 0; i < len; i += 512)
    if (!model_allows(l->model, (uint32_t)((from + i) / 512), bytes + i,
                      op->since))
      life_fault(l, "sector %u is neither old nor new",
            (uint32_t)((from + i) / 512));
  if (sure) {
    model_done(l->model, from, len, bytes, op->flags & VHD_FUA);
  } else {
    model_unsure(l->model, op->off, op->len);
    memcpy(l->model->bytes + from, bytes, len);
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
  for (unsigned i = 0; i < MAX_DEPTH; i++)
    if (l->op[i].running > 0)
      l->model->oldest = MIN(l->model->oldest, l->op[i].since);
  for (unsigned i = 0; i < MAX_PINS; i++)
    if (l->pin[i].held)
      l->model->oldest = MIN(l->model->oldest, l->pin[i].since);
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

void
ops_end(struct life *l, struct op *op)
{
  note_oldest(l);
  l->active--;
  l->result->requests++;
  if (op->result < 0 && !may_fail(l, op))
    life_fault(l, "request of kind %d failed: %s", op->kind,
               strerror(-op->result));
  l->result->refused += op->result == -ENOSPC;
  switch (op->kind) {
  case VHD_READ:
    if (op->result == 0)
      check_read(l, op);
    break;
  case VHD_FLUSH:
    if (op->result == 0)
      model_flushed(l->model, op->since);
    break;
  case VHD_TRIM:
    resolve(l, op, op->result == 0);
    break;
  default:
    if (op->result < 0)
      resolve(l, op, false);
    else
      model_done(l->model, op->off, op->len,
                 op->kind == VHD_WRITE ? op->buf : NULL, op->flags & VHD_FUA);
  }
}

/* ------------------------------------------------------------- held answers */

void
ops_pin(struct life *l)
{
  for (unsigned i = 0; i < MAX_PINS; i++) {
    struct pin *p = &l->pin[i];
    if (p->held)
      continue;
    p->off = chance_below(SIM_SECTORS) * 512;
    p->since = l->model->now;
    if (vhd_request_start(&p->req, l->image, VHD_MAP, p->off,
                          SIM_SIZE - p->off, NULL, VHD_PIN) < 0)
      continue;
    p->req.runs = p->runs;
    p->req.max_runs = PIN_RUNS;
    p->held = vhd_request_run(&p->req) == 0;
    return;
  }
}

/* What such a client sends at last may be old or new, but is its block's. */
static void
check_pinned(struct life *l, const struct pin *p, const struct vhd_run *run,
             uint64_t off)
{
  const struct content *c = &l->file->cache;

  for (uint64_t at = 0; at < run->len; at += 512) {
    uint32_t sec = (uint32_t)((off + at) / 512);
    if (run->file_off + at + 512 > c->size ||
        model_allows(l->model, sec, c->bytes + run->file_off + at, p->since))
      continue;
    life_fault(l, "who looked long ago sees sector %u as none of its values",
               sec);
  }
}

void
ops_unpin(struct life *l)
{
  for (unsigned i = 0; i < MAX_PINS; i++) {
    struct pin *p = &l->pin[i];
    uint64_t off = p->off;
    if (!p->held)
      continue;
    for (unsigned r = 0; r < p->req.nruns; off += p->runs[r++].len)
      if (p->runs[r].kind == VHD_RUN_DATA &&
          simfile_of(p->runs[r].file) == l->file)
        check_pinned(l, p, &p->runs[r], off);
    vhd_request_end(&p->req);
    p->held = false;
  }
}

/* ----------------------------------------------------------------- recovery */

void
ops_recover(struct life *l)
{
  static uint8_t disk[SIM_SIZE], block[SIM_BLOCK];
  int e = 0;

  memset(block, 0x5a, sizeof block);
  if (l->si.nancestor == 0 && !l->image->top->fixed) {
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
