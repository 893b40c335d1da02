/* SPDX-License-Identifier: BSD-2-Clause */
/* life.c: see life.h. */
#include "config.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/arith.h"
#include "parts.h"

const char *const other_text[] = {
#define OTHER_ROW(name, text) text,
  OTHERS(OTHER_ROW)
#undef OTHER_ROW
};

void
life_fault(struct life *l, const char *fmt, ...)
{
  va_list args;

  if (l->result->fault[0])
    return;
  va_start(args, fmt);
  vsnprintf(l->result->fault, sizeof l->result->fault, fmt, args);
  va_end(args);
}

bool
life_faulty(const struct life *l)
{
  return l->result->fault[0] != '\0';
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

/* So many steps in a row from which nothing comes: no I/O, no end. */
#define IDLE_STEPS 10000
/* A step takes microseconds; one that takes so many seconds of computing never
 * returns. */
#define STEP_SECONDS 10

static sigjmp_buf way_out;

static void
give_up(int sig)
{
  (void)sig;
  siglongjmp(way_out, 1);
}

static void
set_limit(time_t seconds)
{
  struct itimerval limit = { .it_value.tv_sec = seconds };

  setitimer(ITIMER_VIRTUAL, &limit, NULL);
}

/* Issues the I/Os that a step asked for; some take effect at once. */
static void
issue(struct life *l, struct run *r)
{
  r->state = WAITING;
  r->outstanding = r->req.nio;
  for (unsigned n = 0; n < r->req.nio; n++) {
    r->pending[n] = true;
    r->applied[n] = false;
    r->sync_seq[n] = l->file->seq;
    if (r->req.io[n].kind != VHD_IO_SYNC && chance_one_in(2))
      apply_io(l, r, n);
  }
}

static void
step(struct life *l, struct run *r)
{
  if (l->opt->small_steps)
    l->image->space.step = 0;
  if (++l->idle > IDLE_STEPS)
    life_fault(l, "%u requests step and step, and nothing comes of it",
               l->active);
  /* A wake may come before the step returns. */
  r->state = PARKED;
  switch (vhd_request_step(&r->req)) {
  case VHD_STEP_DONE:
    l->idle = 0;
    r->state = IDLE;
    if (r->req.result < 0)
      r->op->result = r->req.result;
    if (--r->op->running == 0)
      ops_end(l, r->op);
    break;
  case VHD_STEP_IO:
    l->idle = 0;
    issue(l, r);
    break;
  case VHD_STEP_PARKED:
    break;
  }
}

static void
complete_one(struct run *r, struct life *l)
{
  unsigned n = (unsigned)chance_below(r->req.nio);

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
  struct run *can[2 * MAX_OPS];
  unsigned n = 0;

  for (unsigned i = 0; i < MAX_OPS; i++)
    for (unsigned k = 0; k < 2; k++)
      if (l->op[i].run[k].state == READY || l->op[i].run[k].state == WAITING)
        can[n++] = &l->op[i].run[k];
  if (l->active < l->opt->depth && l->started < l->opt->requests &&
      (n == 0 || chance_one_in(3))) {
    ops_start(l);
    return true;
  }
  if (n == 0)
    return false;
  struct run *r = can[chance_below(n)];
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
  l->started = l->active = l->idle = 0;
  simfile_free(l->backup);
  l->backup = simfile_clone(l->file);
  l->file->nio = 0;
  l->file->fail_at = number == 1 ? l->opt->fail_at : 0;
  l->file->fail_errno = l->opt->fail_errno;
  int e = simimage_open(&l->si, l->file, false, l->journal, &l->image, &err);
  if (e < 0) {
    if (!l->file->failed)
      life_fault(l, "life %u: cannot be opened: %s", number, err.message);
    l->image = NULL;
    return false;
  }
  uint64_t fail_at = l->file->fail_at;
  l->file->fail_at = 0;
  e = vhd_pread(l->image, disk, SIM_SIZE, 0);
  l->file->fail_at = fail_at;
  if (e < 0)
    life_fault(l, "life %u: cannot be read: %s", number, strerror(-e));
  for (uint32_t sec = 0; sec < SIM_SECTORS && !life_faulty(l); sec++)
    if (!model_allows(l->model, sec, disk + sec * 512, 0))
      life_fault(l, "life %u begins with sector %u as none of its values",
                 number, sec);
  model_reset(l->model, disk);
  return true;
}

/* A file that grows by what it needs holds the disk, what requests in flight
 * have beside it, and what somebody still looks at; not all that ever was. */
static void
check_growth(struct life *l)
{
  uint64_t slots = 2 * SIM_BLOCKS + SIM_SPARE + 2 * l->opt->depth +
                   2 * MAX_PINS * PIN_RUNS;

  if (l->opt->small_steps && l->file->cache.size > slots * 2 * SIM_BLOCK)
    life_fault(l, "the file grew to %llu bytes",
               (unsigned long long)l->file->cache.size);
}

/* When all have ended nothing is promised any more, and what the budgets go by
 * is what there is. */
static void
check_budgets(struct life *l)
{
  const struct vhd_image *img = l->image;
  const struct bitmaps *b = &img->top->bitmaps;
  uint32_t ndirty = 0;

  if (img->top->fixed)
    return;
  for (int kind = 0; kind < BUDGET_KINDS; kind++)
    if (img->commit.budgets.of[kind].reserved != 0)
      life_fault(l, "%u of budget %d are reserved for nobody",
                 img->commit.budgets.of[kind].reserved, kind);
  for (uint32_t i = 0; i < b->n; i++)
    ndirty += (b->entry[i].flags & BITMAP_DIRTY) != 0;
  if (ndirty != b->ndirty)
    life_fault(l, "%u bitmaps are dirty, not %u", ndirty, b->ndirty);
  if (img->journal && journal_used(img->journal) != img->commit.nrecords)
    life_fault(l, "the journal has %u records, not %u",
               journal_used(img->journal), img->commit.nrecords);
}

static void
live(struct life *l)
{
  while ((l->started < l->opt->requests || l->active > 0) && !life_faulty(l)) {
    if (!something_happens(l)) {
      life_fault(l, "stuck: %u requests wait for each other", l->active);
      return;
    }
    if (chance_one_in(l->file->failed ? 4 : l->opt->crash_one_in))
      look_power_cuts(l);
    if (l->journal && chance_one_in(l->opt->crash_one_in))
      look_death(l);
  }
  if (life_faulty(l))
    return;
  check_budgets(l);
  check_growth(l);
  ops_unpin(l);
  if (l->opt->full && !l->file->failed)
    ops_recover(l);
}

/* An empty one, that goes with the file as it is. */
static void
new_journal(struct life *l)
{
  struct file_stamp stamp = simfile_stamp(l->file);

  l->journal = journal_format(l->journal_mem, LIFE_JOURNAL_BYTES);
  journal_stamp(l->journal, &stamp);
}

/* What is left for the next life. */
static void
end_life(struct life *l)
{
  struct simfile *left = NULL;
  unsigned way = (unsigned)chance_below(3);
  bool stale = false;

  /* After a failed sync, what the next process reads may be nowhere but in the
   * page cache, and no system call tells: only a power cut clears that up. */
  if (l->image && l->journal && way == 0 && !simfile_diverged(l->file)) {
    left = look_outstanding(l); /* death: the journal stays as it is */
  } else {
    if (l->image && way == 1 && image_finish(l->image) == 0)
      model_flushed(l->model, l->model->now);
    bool *keep = calloc(l->file->nunit + 1, sizeof *keep);
    look_choose(keep, l->file->nunit, (unsigned)chance_below(12), false);
    left = simfile_crash(l->file, keep, NULL);
    free(keep);
    stale = l->journal_mem != NULL;
  }
  l->result->reached |= l->file->failed;
  if (l->image)
    image_free(l->image);
  simfile_free(l->file);
  l->file = l->si.file = left;
  if (stale)
    new_journal(l);
}

/* The first look at the disk, and the moods of what lies below it. */
static void
prepare(struct life *l)
{
  static uint8_t disk[SIM_SIZE];
  struct simfile *sf = l->file;
  struct vhd_image *img;

  l->model = model_new(SIM_SECTORS);
  if (l->opt->journal) {
    l->journal_mem = malloc(LIFE_JOURNAL_BYTES);
    new_journal(l);
  }
  if (simimage_open(&l->si, l->file, true, NULL, &img, NULL) == 0) {
    vhd_pread(img, disk, SIM_SIZE, 0);
    image_free(img);
  }
  model_reset(l->model, disk);
  sf->no_punch = l->opt->no_punch;
  sf->moves_end = l->opt->moves_end;
  if (l->opt->full) /* room for a few blocks more */
    sf->capacity = sf->used + 8 + chance_below(6 * (SIM_BLOCK / 512 + 1));
}

static void
live_on(struct life *l)
{
  for (unsigned i = 0; i < l->opt->lives && !life_faulty(l); i++) {
    if (begin_life(l, i))
      live(l);
    if (!life_faulty(l))
      end_life(l);
    else if (l->image)
      image_free(l->image);
  }
  if (!life_faulty(l))
    look_at(l, l->file, true, l->journal, 0, "at the end");
}

void
life_run(uint64_t seed, const struct life_options *opt,
         struct life_result *result)
{
  struct life *l = calloc(1, sizeof *l);

  memset(result, 0, sizeof *result);
  chance_seed(seed);
  l->opt = opt;
  l->result = result;
  l->si = simimage_make(opt->kind, chance_random);
  l->file = l->si.file;
  signal(SIGVTALRM, give_up);
  set_limit(STEP_SECONDS);
  if (sigsetjmp(way_out, 1) == 0) {
    prepare(l);
    live_on(l);
    set_limit(0);
    model_free(l->model);
    free(l->journal_mem);
    simimage_free(&l->si);
    simfile_free(l->backup);
    free(l);
  } else {
    /* What the step held it holds for ever; nothing is freed. */
    life_fault(l, "a step never returns");
  }
}
