/* SPDX-License-Identifier: BSD-2-Clause */
/* life.c: see life.h. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "life.h"
#include "model.h"

#define MAX_DEPTH 16
#define MAX_LEN (3 * SIM_BLOCK)
#define JOURNAL_BYTES 65536

/* ------------------------------------------------------------------- chance */

static uint64_t random_state;

static uint64_t
random64(void)
{
  uint64_t z = random_state += 0x9e3779b97f4a7c15ULL;

  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
  return z ^ z >> 31;
}

static uint64_t
below(uint64_t n)
{
  return random64() % n;
}

static bool
one_in(unsigned n)
{
  return n != 0 && below(n) == 0;
}

/* --------------------------------------------------------------- structures */

enum run_state { IDLE, READY, WAITING, PARKED };

/* A request, and the I/Os that it waits for. */
struct run {
  struct vhd_request req;
  enum run_state state;
  struct op *op;
  unsigned outstanding;
  bool pending[VHD_REQUEST_IOS];   /* not reported yet */
  bool applied[VHD_REQUEST_IOS];   /* took effect already */
  uint64_t sync_seq[VHD_REQUEST_IOS];
};

/* What a client asks: one request, or two writes that share a sector. */
struct op {
  enum vhd_op kind;
  uint64_t off, len;
  uint32_t flags;
  uint64_t since;
  unsigned running;
  unsigned patience; /* its I/Os are passed over so often: a slow disk */
  int result;
  struct run run[2];
  uint8_t buf[MAX_LEN];
};

struct life {
  const struct life_options *opt;
  struct life_result *result;
  struct simimage si;
  struct simfile *file;
  struct vhd_image *image;
  struct model *model;
  struct op op[MAX_DEPTH];
  unsigned started, active;
  uint8_t *journal_mem;
  struct journal *journal;
};

static void fault(struct life *l, const char *fmt, ...)
  __attribute__((format(printf, 2, 3)));

static void
fault(struct life *l, const char *fmt, ...)
{
  va_list args;

  if (l->result->fault[0])
    return;
  va_start(args, fmt);
  vsnprintf(l->result->fault, sizeof l->result->fault, fmt, args);
  va_end(args);
}

static bool
faulty(const struct life *l)
{
  return l->result->fault[0] != '\0';
}

/* --------------------------------------------------------- looking at disks */

static bool
ends_in_footer(const struct content *c)
{
  struct footer footer;

  return footer_parse(c->bytes + c->size - FOOTER_SIZE, "image", "footer",
                      &footer, NULL) == 0;
}

/* A file ends in a footer, or in zeros where it was just made longer: never in
 * a block's bytes, which other programs might take for a footer.  A power cut
 * that leaves it as long as it was leaves its footer. */
static bool
ends_well(const struct content *left, const struct content *durable)
{
  static const uint8_t zeros[FOOTER_SIZE];

  if (ends_in_footer(left))
    return true;
  return (left->size != durable->size || !ends_in_footer(durable)) &&
         memcmp(left->bytes + left->size - FOOTER_SIZE, zeros,
                FOOTER_SIZE) == 0;
}

/* Opens what is left of the file and compares the whole disk. */
static void
look(struct life *l, struct simfile *left, bool readonly,
     struct journal *journal, uint64_t since, const char *what)
{
  static uint8_t disk[SIM_SIZE];
  struct vhd_image *img;
  struct vhd_error err = { .code = 0 };

  int e = simimage_open(&l->si, left, readonly, journal, &img, &err);
  if (e < 0) {
    fault(l, "%s: cannot be opened: %s", what, err.message);
    return;
  }
  e = vhd_pread(img, disk, SIM_SIZE, 0);
  if (e < 0)
    fault(l, "%s: cannot be read: %s", what, strerror(-e));
  for (uint32_t sec = 0; e == 0 && sec < SIM_SECTORS; sec++)
    if (!model_allows(l->model, sec, disk + sec * 512, since)) {
      fault(l, "%s: sector %u (block %u) reads as none of its values (%02x %02x"
            " ...), %u known", what, sec, sec / (SIM_BLOCK / 512),
            disk[sec * 512], disk[sec * 512 + 1], l->model->sector[sec].n);
      break;
    }
  image_free(img);
}

/* What the disk may have got already of I/Os that are not yet reported. */
static struct simfile *
with_outstanding(struct life *l)
{
  struct simfile *sf = simfile_clone(l->file);

  for (unsigned i = 0; i < MAX_DEPTH; i++)
    for (unsigned k = 0; k < 2; k++) {
      struct run *r = &l->op[i].run[k];
      for (unsigned n = 0; r->state == WAITING && n < r->req.nio; n++) {
        struct vhd_io io = r->req.io[n];
        if (r->pending[n] && !r->applied[n] && io.kind != VHD_IO_READ &&
            io.kind != VHD_IO_SYNC && one_in(2))
          simfile_perform(sf, &io, 0);
      }
    }
  return sf;
}

/* Chooses the i-th of n ways to survive, from the telling ones to chance. */
static void
choose_survivors(bool *keep, uint32_t nunit, unsigned i, bool all_ways)
{
  uint64_t density = 1 + below(7);

  for (uint32_t u = 0; u < nunit; u++)
    keep[u] = all_ways ? i >> u & 1
              : i == 0 ? false
              : i == 1 ? true
              : below(8) < density;
  if (all_ways || i < 2 || nunit == 0)
    return;
  uint32_t special = (uint32_t)below(nunit);
  if (i % 4 == 2) /* all but one, or only one */
    for (uint32_t u = 0; u < nunit; u++)
      keep[u] = (u != special) ^ (i % 8 == 2);
  if (i % 4 == 3) /* a prefix */
    for (uint32_t u = 0; u < nunit; u++)
      keep[u] = u < special;
}

static void
enumerate_power_cuts(struct life *l)
{
  struct simfile *sf = with_outstanding(l);
  bool *keep = calloc(sf->nunit + 1, sizeof *keep);
  bool all_ways = sf->nunit < 16 && 1u << sf->nunit <= l->opt->max_states;
  unsigned n = all_ways ? 1u << sf->nunit : l->opt->max_states;
  struct simfile *left = NULL;

  for (unsigned i = 0; i < n && !faulty(l); i++) {
    choose_survivors(keep, sf->nunit, i, all_ways);
    left = simfile_crash(sf, keep, left);
    if (!ends_well(&left->cache, &sf->durable))
      fault(l, "after a power cut the file does not end in a footer");
    look(l, left, true, NULL, 0, "after a power cut");
    l->result->states++;
  }
  simfile_free(left);
  free(keep);
  simfile_free(sf);
}

/* The death of the process: nothing that was acknowledged is lost. */
static void
look_at_death(struct life *l)
{
  static uint8_t mem[JOURNAL_BYTES];
  struct simfile *left = with_outstanding(l);

  memcpy(mem, l->journal_mem, JOURNAL_BYTES);
  look(l, left, one_in(2), journal_adopt(mem, JOURNAL_BYTES), l->model->now,
       "after the death of the process");
  simfile_free(left);
  l->result->kills++;
}

/* ----------------------------------------------------------------- requests */

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
    fault(l, "a request was refused: %s", strerror(-e));
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
  switch (below(5)) {
  case 0: /* whole blocks */
    op->off = below(SIM_BLOCKS) * SIM_BLOCK;
    op->len = (1 + below(2)) * SIM_BLOCK;
    break;
  case 1: /* odd bytes */
    op->off = below(SIM_SIZE);
    op->len = 1 + below(2000);
    break;
  default:
    op->off = below(SIM_SECTORS) * 512;
    op->len = (1 + below(below(2) ? 3 : 20)) * 512;
  }
  op->len = MIN(MIN(op->len, SIM_SIZE - op->off), MAX_LEN);
}

static enum vhd_op
choose_kind(void)
{
  static const enum vhd_op kinds[] = { VHD_WRITE, VHD_WRITE, VHD_WRITE,
    VHD_WRITE, VHD_READ, VHD_READ, VHD_ZERO, VHD_TRIM, VHD_TRIM, VHD_FLUSH };

  return kinds[below(sizeof kinds / sizeof *kinds)];
}

/* Two writes to the two halves of one sector. */
static void
start_twins(struct life *l, struct op *op)
{
  uint64_t half = 1 + below(511);

  op->off = round_down(op->off, 512);
  op->len = 512;
  model_begin(l->model, op->off, half, op->buf);
  model_begin(l->model, op->off + half, 512 - half, op->buf + half);
  model_begin(l->model, op->off, 512, op->buf);
  start_run(l, op, &op->run[0], op->off, half);
  start_run(l, op, &op->run[1], op->off + half, 512 - half);
}

static void
start_op(struct life *l)
{
  struct op *op = NULL;

  for (unsigned i = 0; i < MAX_DEPTH && !op; i++)
    if (l->op[i].running == 0)
      op = &l->op[i];
  op->kind = choose_kind();
  if (l->file->failed && one_in(3)) /* what failed is to be tried again */
    op->kind = VHD_FLUSH;
  op->flags = 0;
  op->result = 0;
  op->patience = one_in(4) ? (unsigned)below(80) : 0;
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
  if (changes && one_in(6))
    op->flags |= VHD_FUA;
  if (op->kind == VHD_ZERO && one_in(3))
    op->flags |= VHD_NO_HOLE;
  for (uint64_t i = 0; op->kind == VHD_WRITE && i < op->len + 512 &&
                       i < MAX_LEN; i += 8) {
    uint64_t v = random64();
    memcpy(op->buf + i, &v, 8);
  }
  l->started++;
  l->active++;
  op->since = l->model->now;
  if (op->kind == VHD_WRITE && op->flags == 0 && one_in(5)) {
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
    fault(l, "cannot read: %s", strerror(-e));
    return;
  }
  for (uint64_t i = 0; i < len; i += 512)
    if (!model_allows(l->model, (uint32_t)((from + i) / 512), bytes + i,
                      op->since))
      fault(l, "sector %u is neither old nor new",
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
      fault(l, "a read saw sector %u as none of its values",
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
}

static void
end_op(struct life *l, struct op *op)
{
  note_oldest(l);
  l->active--;
  l->result->requests++;
  if (op->result < 0 && !l->file->failed)
    fault(l, "request of kind %d failed: %s", op->kind, strerror(-op->result));
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

/* ------------------------------------------------------------- the schedule */

static void
apply_io(struct life *l, struct run *r, unsigned n)
{
  struct vhd_io *io = &r->req.io[n];

  r->applied[n] = true;
  if (simfile_of(io->file) == l->file)
    io->result = simfile_perform(l->file, io, r->sync_seq[n]);
  else
    vhd_io_perform(io);
}

static void
step(struct life *l, struct run *r)
{
  if (l->opt->small_steps)
    l->image->space.step = 0;
  /* A wake may come before the step returns. */
  r->state = PARKED;
  switch (vhd_request_step(&r->req)) {
  case VHD_STEP_DONE:
    r->state = IDLE;
    if (r->req.result < 0)
      r->op->result = r->req.result;
    if (--r->op->running == 0)
      end_op(l, r->op);
    break;
  case VHD_STEP_IO:
    r->state = WAITING;
    r->outstanding = r->req.nio;
    for (unsigned n = 0; n < r->req.nio; n++) {
      r->pending[n] = true;
      r->applied[n] = false;
      r->sync_seq[n] = l->file->seq;
      if (r->req.io[n].kind != VHD_IO_SYNC && one_in(2))
        apply_io(l, r, n);
    }
    break;
  case VHD_STEP_PARKED:
    break;
  }
}

static void
complete_one(struct run *r, struct life *l)
{
  unsigned n = (unsigned)below(r->req.nio);

  while (!r->pending[n])
    n = (n + 1) % r->req.nio;
  if (!r->applied[n])
    apply_io(l, r, n);
  r->pending[n] = false;
  if (--r->outstanding == 0)
    r->state = READY;
}

/* One thing that can happen next, by chance.  False if nothing can. */
static bool
something_happens(struct life *l)
{
  struct run *can[2 * MAX_DEPTH];
  unsigned n = 0;

  for (unsigned i = 0; i < MAX_DEPTH; i++)
    for (unsigned k = 0; k < 2; k++)
      if (l->op[i].run[k].state == READY || l->op[i].run[k].state == WAITING)
        can[n++] = &l->op[i].run[k];
  if (l->active < l->opt->depth && l->started < l->opt->requests &&
      (n == 0 || one_in(3))) {
    start_op(l);
    return true;
  }
  if (n == 0)
    return false;
  struct run *r = can[below(n)];
  if (r->state == READY)
    step(l, r);
  else if (r->op->patience > 0)
    r->op->patience--;
  else
    complete_one(r, l);
  return true;
}

/* -------------------------------------------------------------------- lives */

static bool
begin_life(struct life *l, unsigned number)
{
  static uint8_t disk[SIM_SIZE];
  struct vhd_error err = { .code = 0 };

  memset(l->op, 0, sizeof l->op);
  l->started = l->active = 0;
  l->file->nio = 0;
  l->file->fail_at = number == 1 ? l->opt->fail_at : 0;
  int e = simimage_open(&l->si, l->file, false, l->journal, &l->image, &err);
  if (e < 0) {
    if (!l->file->failed)
      fault(l, "life %u: cannot be opened: %s", number, err.message);
    l->image = NULL;
    return false;
  }
  uint64_t fail_at = l->file->fail_at;
  l->file->fail_at = 0;
  e = vhd_pread(l->image, disk, SIM_SIZE, 0);
  l->file->fail_at = fail_at;
  if (e < 0)
    fault(l, "life %u: cannot be read: %s", number, strerror(-e));
  for (uint32_t sec = 0; sec < SIM_SECTORS && !faulty(l); sec++)
    if (!model_allows(l->model, sec, disk + sec * 512, 0))
      fault(l, "life %u begins with sector %u as none of its values", number,
            sec);
  model_reset(l->model, disk);
  return true;
}

static void
live(struct life *l)
{
  while ((l->started < l->opt->requests || l->active > 0) && !faulty(l)) {
    if (!something_happens(l)) {
      fault(l, "stuck: %u requests wait for each other", l->active);
      return;
    }
    if (one_in(l->file->failed ? 4 : l->opt->crash_one_in))
      enumerate_power_cuts(l);
    if (l->journal && l->opt->crash_one_in && one_in(l->opt->crash_one_in))
      look_at_death(l);
  }
}

/* What is left for the next life. */
static void
end_life(struct life *l)
{
  struct simfile *left = NULL;
  unsigned way = (unsigned)below(3);

  /* After a failed sync, what the next process reads may be nowhere but in the
   * page cache, and no system call tells: only a power cut clears that up. */
  if (l->image && l->journal && way == 0 && !simfile_diverged(l->file)) {
    left = with_outstanding(l); /* death: the journal stays as it is */
  } else {
    if (l->image && way == 1 && image_finish(l->image) == 0)
      model_flushed(l->model, l->model->now);
    bool *keep = calloc(l->file->nunit + 1, sizeof *keep);
    choose_survivors(keep, l->file->nunit, (unsigned)below(12), false);
    left = simfile_crash(l->file, keep, NULL);
    free(keep);
    if (l->journal_mem)
      l->journal = journal_format(l->journal_mem, JOURNAL_BYTES);
  }
  l->result->reached |= l->file->failed;
  if (l->image)
    image_free(l->image);
  simfile_free(l->file);
  l->file = l->si.file = left;
}

void
life_run(uint64_t seed, const struct life_options *opt,
         struct life_result *result)
{
  static uint8_t disk[SIM_SIZE];
  struct life *l = calloc(1, sizeof *l);
  struct vhd_image *img;

  memset(result, 0, sizeof *result);
  random_state = seed * 0x2545f4914f6cdd1dULL + 1;
  l->opt = opt;
  l->result = result;
  l->si = simimage_make(opt->kind, random64);
  l->file = l->si.file;
  l->model = model_new(SIM_SECTORS);
  if (opt->journal) {
    l->journal_mem = malloc(JOURNAL_BYTES);
    l->journal = journal_format(l->journal_mem, JOURNAL_BYTES);
  }
  if (simimage_open(&l->si, l->file, true, NULL, &img, NULL) == 0) {
    vhd_pread(img, disk, SIM_SIZE, 0);
    image_free(img);
  }
  model_reset(l->model, disk);
  for (unsigned i = 0; i < opt->lives && !faulty(l); i++) {
    if (begin_life(l, i))
      live(l);
    if (!faulty(l))
      end_life(l);
    else if (l->image)
      image_free(l->image);
  }
  if (!faulty(l))
    look(l, l->file, true, l->journal, 0, "at the end");
  model_free(l->model);
  free(l->journal_mem);
  simimage_free(&l->si);
  free(l);
}
