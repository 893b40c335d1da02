/* SPDX-License-Identifier: BSD-2-Clause */
/* request.c: the step machine: starting, stepping, and what all phases use; and
 * the requests that change nothing: read and map.  What changes is in change.c,
 * flushing in commit.c. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "image/image.h"
#include "image/map.h"
#include "image/request.h"

/* --------------------------------------------------------------- all phases */

enum vhd_step
request_done(struct vhd_request *req, int result)
{
  struct machine *m = machine_of(req);

  if (m->npiece > 0)
    change_abort(req);
  req->result = result;
  m->phase = NULL;
  if (!(req->flags & VHD_PIN) || result < 0)
    request_unpin(req);
  return VHD_STEP_DONE;
}

enum vhd_step
request_next(struct vhd_request *req, phase_fn *phase)
{
  machine_of(req)->phase = phase;
  return STEP_NEXT;
}

enum vhd_step
request_io(struct vhd_request *req, phase_fn *phase)
{
  assert(req->nio > 0);
  machine_of(req)->phase = phase;
  return VHD_STEP_IO;
}

int
request_io_result(const struct vhd_request *req)
{
  for (unsigned i = 0; i < req->nio; i++)
    if (req->io[i].result < 0)
      return req->io[i].result;
  return 0;
}

void
request_add_io(struct vhd_request *req, struct vhd_file *file,
               enum vhd_io_kind kind, uint64_t off, uint64_t len, void *buf,
               unsigned flags)
{
  assert(req->nio < VHD_REQUEST_IOS);
  req->io[req->nio++] = (struct vhd_io){
    .file = file, .fd = file->fd, .kind = (uint8_t)kind, .off = off,
    .len = len, .buf = buf, .flags = (uint8_t)flags,
  };
}

enum vhd_step
request_park(struct vhd_request *req, struct layer *layer, const void *key,
             phase_fn *again)
{
  machine_of(req)->phase = again;
  layer_park(layer, req, key);
  pthread_mutex_unlock(&layer->lock);
  return VHD_STEP_PARKED;
}

enum vhd_step
request_wait(struct vhd_request *req, struct budget *budget, phase_fn *again)
{
  struct machine *m = machine_of(req);

  m->phase = again;
  m->next = budget->waiting;
  budget->waiting = req;
  pthread_mutex_unlock(&req->image->top->lock);
  return VHD_STEP_PARKED;
}

/* Last in, first out; they go in the order in which they came. */
struct vhd_request *
request_budget_waiters(struct budgets *budgets, const struct need *released)
{
  struct vhd_request *woken = NULL;

  for (int kind = 0; kind < BUDGET_KINDS; kind++) {
    struct budget *b = &budgets->of[kind];
    while (released->n[kind] > 0 && b->waiting) {
      struct vhd_request *req = b->waiting;
      b->waiting = machine_of(req)->next;
      machine_of(req)->next = woken;
      woken = req;
    }
  }
  return woken;
}

void
request_wake(struct vhd_request *list)
{
  while (list) {
    struct vhd_request *req = list;
    list = machine_of(req)->next;
    req->wake(req);
  }
}

void
request_pin(struct vhd_request *req)
{
  struct machine *m = machine_of(req);

  if (m->pinned)
    return;
  m->epoch = image_pin(req->image);
  m->layers = atomic_load(&req->image->layers);
  m->pinned = true;
}

void
request_unpin(struct vhd_request *req)
{
  struct machine *m = machine_of(req);

  if (m->pinned)
    image_unpin(req->image, m->epoch);
  m->pinned = false;
}

/* ---------------------------------------------------------- loading bitmaps */

static phase_fn loaded;

/* Looks once more under the lock; then either somebody reads the bitmap
 * already, or this request does. */
enum vhd_step
request_load(struct vhd_request *req, struct layer *l, uint32_t blk,
             phase_fn *after)
{
  struct machine *m = machine_of(req);

  pthread_mutex_lock(&l->lock);
  uint8_t state = l->state[blk];
  struct bitmap *b = bitmaps_find(&l->bitmaps, blk);
  enum summary s = summary_of(state);
  if (state & BLOCK_LOADING)
    return request_park(req, l, &l->state[blk], after);
  if (l->bat[blk] == NO_SLOT || s == BITS_ALL || s == BITS_NONE ||
      (s == BITS_MIXED && b)) {
    pthread_mutex_unlock(&l->lock);
    return request_next(req, after);
  }
  b = bitmaps_claim(l, blk);
  if (!b) /* each entry is being read or written: wait for one of them */
    return request_park(req, l, &l->bitmaps, after);
  b->flags |= BITMAP_LOADING;
  layer_set_flags(l, blk, BLOCK_LOADING, 0);
  uint8_t *bits = bitmaps_bits(&l->bitmaps, b);
  uint32_t slot = l->bat[blk];
  pthread_mutex_unlock(&l->lock);

  m->after = after;
  m->load_layer = l;
  m->load_bitmap = b;
  req->nio = 0;
  request_add_io(req, l->file, VHD_IO_READ, (uint64_t)slot * 512,
                 l->bitmaps.bytes, bits, 0);
  return request_io(req, loaded);
}

/* All ones, all zeros, or a mixture?  Bits behind the disk's end say
 * nothing. */
static enum summary
summarize(const struct layer *l, uint32_t blk, const uint8_t *bits)
{
  uint32_t nsec = layer_block_sectors(l, blk);

  if (bitmap_run(bits, 0, nsec) < nsec)
    return BITS_MIXED;
  return bitmap_test(bits, 0) ? BITS_ALL : BITS_NONE;
}

static enum vhd_step
loaded(struct vhd_request *req)
{
  struct machine *m = machine_of(req);
  struct layer *l = m->load_layer;
  struct bitmap *b = m->load_bitmap;
  uint32_t blk = b->blk;
  int result = request_io_result(req);

  req->nio = 0;
  pthread_mutex_lock(&l->lock);
  b->flags &= ~BITMAP_LOADING;
  enum summary s = BITS_UNKNOWN;
  if (result == 0) {
    s = summarize(l, blk, bitmaps_bits(&l->bitmaps, b));
    layer_set_block(l, blk, l->bat[blk], s);
  }
  if (s != BITS_MIXED)
    bitmaps_drop(&l->bitmaps, b);
  layer_set_flags(l, blk, 0, BLOCK_LOADING);
  struct vhd_request *woken = layer_unpark(l, &l->state[blk]);
  struct vhd_request *more = layer_unpark(l, &l->bitmaps);
  pthread_mutex_unlock(&l->lock);
  request_wake(woken);
  request_wake(more);
  return result < 0 ? request_done(req, result) : request_next(req, m->after);
}

/* --------------------------------------------------------------------- read */

static phase_fn read_arrived;

/* Asks for as many runs as one step can carry, and fills in the zeros. */
enum vhd_step
read_gather(struct vhd_request *req)
{
  struct machine *m = machine_of(req);
  uint64_t end = req->off + req->len;
  struct map_need need;
  struct vhd_run run;

  request_pin(req);
  req->nio = 0;
  while (m->pos < end && req->nio < VHD_REQUEST_IOS) {
    if (!map_next(m->layers, m->pos, end - m->pos, &run, &need)) {
      if (req->nio > 0)
        break;
      return request_load(req, need.layer, need.blk, read_gather);
    }
    char *to = (char *)req->buf + (m->pos - req->off);
    if (run.kind == VHD_RUN_DATA)
      request_add_io(req, run.file, VHD_IO_READ, run.file_off, run.len, to, 0);
    else
      memset(to, 0, run.len);
    m->pos += run.len;
  }
  return req->nio > 0 ? request_io(req, read_arrived) : request_done(req, 0);
}

static enum vhd_step
read_arrived(struct vhd_request *req)
{
  int result = request_io_result(req);

  if (result < 0 || machine_of(req)->pos == req->off + req->len)
    return request_done(req, result);
  return request_next(req, read_gather);
}

/* ---------------------------------------------------------------------- map */

/* Does the run go on where the last one ended? */
static bool
continues(const struct vhd_run *last, const struct vhd_run *run)
{
  return last->kind == run->kind && last->depth == run->depth &&
         (run->kind != VHD_RUN_DATA ||
          (last->file == run->file &&
           last->file_off + last->len == run->file_off));
}

enum vhd_step
map_gather(struct vhd_request *req)
{
  struct machine *m = machine_of(req);
  uint64_t end = req->off + req->len;
  unsigned max = req->flags & VHD_ONE_RUN ? 1 : req->max_runs;
  struct map_need need;
  struct vhd_run run;

  request_pin(req);
  while (m->pos < end) {
    if (!map_next(m->layers, m->pos, end - m->pos, &run, &need))
      return request_load(req, need.layer, need.blk, map_gather);
    struct vhd_run *last = req->nruns ? &req->runs[req->nruns - 1] : NULL;
    if (last && continues(last, &run))
      last->len += run.len;
    else if (req->nruns == max)
      break;
    else
      req->runs[req->nruns++] = run;
    m->pos += run.len;
  }
  return request_done(req, 0);
}

/* ------------------------------------------------------------------ outside */

static enum vhd_step
end_flush(struct vhd_request *req)
{
  return request_done(req, 0);
}

static enum vhd_step
flush_begin(struct vhd_request *req)
{
  return request_commit(req, end_flush);
}

static const struct {
  phase_fn *fixed, *sparse;
  uint32_t flags;    /* that it knows */
  bool writes;
  int past_end;      /* error for a range beyond the disk */
} ops[] = {
  [VHD_READ] = { read_gather, read_gather, 0, false, -EINVAL },
  [VHD_WRITE] = { fixed_change, change_gather, VHD_FUA, true, -ENOSPC },
  [VHD_ZERO] = { fixed_change, change_gather,
                 VHD_FUA | VHD_NO_HOLE | VHD_FAST_ZERO, true, -ENOSPC },
  [VHD_TRIM] = { fixed_change, change_gather, VHD_FUA, true, -EINVAL },
  [VHD_FLUSH] = { flush_begin, flush_begin, 0, false, -EINVAL },
  [VHD_MAP] = { map_gather, map_gather, VHD_PIN | VHD_ONE_RUN, false,
                -EINVAL },
};

int
vhd_request_start(struct vhd_request *req, struct vhd_image *image,
                  enum vhd_op op, uint64_t off, uint64_t len, void *buf,
                  uint32_t flags)
{
  struct machine *m = machine_of(req);

  if ((unsigned)op >= sizeof ops / sizeof *ops ||
      (flags & ~ops[op].flags) != 0)
    return -EINVAL;
  if (image->orphan)
    return -EINVAL;
  if (!range_fits(off, len, atomic_load(&image->size)))
    return ops[op].past_end;
  if (ops[op].writes && !image->writable)
    return -EROFS;
  const struct vhd_file *file = image->top->file;
  if (flags & VHD_FAST_ZERO &&
      !(flags & VHD_NO_HOLE ? file->can_zero : file->can_punch))
    return -ENOTSUP;
  req->image = image;
  req->op = (uint8_t)op;
  req->flags = flags;
  req->off = off;
  req->len = len;
  req->buf = buf;
  req->runs = NULL;
  req->max_runs = 0;
  req->nruns = 0;
  req->nio = 0;
  req->result = 0;
  m->phase = image->top->fixed ? ops[op].fixed : ops[op].sparse;
  m->pos = off;
  m->pinned = false;
  m->changed = false;
  m->npiece = 0;
  return 0;
}

enum vhd_step
vhd_request_step(struct vhd_request *req)
{
  struct machine *m = machine_of(req);
  enum vhd_step step;

  do {
    assert(m->phase);
    step = m->phase(req);
  } while (step == STEP_NEXT && m->phase);
  return step;
}

void
vhd_request_end(struct vhd_request *req)
{
  request_unpin(req);
}
