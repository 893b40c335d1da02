/* SPDX-License-Identifier: BSD-2-Clause */
/* change.c: the requests that change the disk: write, zero and trim.
 *
 * A request is cut at block boundaries into pieces.  What a piece comes to is
 * decided by plan.c; pieces that can go on together are gathered, then
 *
 *   gather -> [edges] -> [punch dirty slots] -> data I/O -> publish -> gather
 *
 * A request never parks while it holds a block, but for the bitmap of an
 * ancestor; so there is no circle of waiting.
 *
 * Invariants, besides those of plan.h:
 *   1. A slot that becomes a block's reads as zeros but for what was written:
 *      it came clean, or was punched first.
 *   2. What a commit will write of a block has its space before the change is
 *      acknowledged. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/bounds.h"
#include "base/rules.h"
#include "image/image.h"
#include "image/map.h"
#include "image/plan.h"
#include "image/request.h"

static phase_fn end_change, gather, grown, edges, edges_read, punch_slots,
  data_io, data_done;

/* Space is looked for so often before a request fails for want of it. */
#define SQUEEZE_MAX 16

static enum vhd_step
end_change(struct vhd_request *req)
{
  return request_done(req, 0);
}

/* Is there anything dirty? */
static bool
disk_is_dirty(struct vhd_image *img)
{
  pthread_mutex_lock(&img->top->lock);
  bool dirty = img->commit.ndirty > 0;
  pthread_mutex_unlock(&img->top->lock);
  return dirty;
}

/* Everything is done; durable too?  A range longer than all that can be dirty
 * is not gone through. */
static bool
range_is_dirty(const struct vhd_request *req)
{
  const struct layer *l = req->image->top;
  uint64_t end = req->off + req->len;

  if (req->len >> l->block_shift > DIRTY_MAX)
    return disk_is_dirty(req->image);
  for (uint64_t blk = req->off >> l->block_shift;
       blk << l->block_shift < end; blk++)
    if (l->state[blk] & BLOCK_DIRTY)
      return true;
  return false;
}

/* Do the bytes of this write rest upon durable metadata alone?  Then they need
 * no commit, if they are durable. */
static bool
may_be_durable(const struct vhd_request *req)
{
  return req->op == VHD_WRITE && req->flags & VHD_FUA &&
         !(range_is_dirty(req) && RULE(ALONE));
}

/* Without a journal all metadata are committed that the range rests upon, also
 * what another request changed and has not been answered for. */
static bool
wants_commit(const struct vhd_request *req)
{
  const struct machine *m = (const struct machine *)req->machine;

  return (req->flags & VHD_FUA && !m->durable) ||
         (req->image->write_through && (m->changed || range_is_dirty(req)));
}

static enum vhd_step
finish_change(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  bool commit = wants_commit(req);

  if (!commit && req->op != VHD_WRITE && !img->top->fixed) {
    pthread_mutex_lock(&img->top->lock);
    commit = space_npending(&img->space) >= RETIRED_ENOUGH &&
             !img->commit.leader;
    pthread_mutex_unlock(&img->top->lock);
    if (commit)
      REACHED(BOUND_RETIRED);
  }
  return commit ? request_durable(req, end_change) : request_done(req, 0);
}

/* ---------------------------------------------------------------- obstacles */

/* The three waits below look once more, under the lock: what is waited for may
 * have come meanwhile. */
static enum vhd_step
wait_for_block(struct vhd_request *req, uint32_t blk)
{
  struct layer *top = req->image->top;

  pthread_mutex_lock(&top->lock);
  if (top->state[blk] & (BLOCK_BUSY | BLOCK_LOADING))
    return request_park(req, top, &top->blocks, &top->state[blk], gather);
  pthread_mutex_unlock(&top->lock);
  return request_next(req, gather);
}

static enum vhd_step
wait_for_bitmap(struct vhd_request *req, uint32_t blk)
{
  struct layer *top = req->image->top;

  pthread_mutex_lock(&top->lock);
  bool there = bitmaps_find(&top->bitmaps, blk);
  struct bitmap *b = bitmaps_claim(top, blk);
  if (!b)
    return request_park(req, top, &top->bitmaps.waiting, NULL, gather);
  if (!there)
    bitmaps_forget(&top->bitmaps, b);
  pthread_mutex_unlock(&top->lock);
  return request_next(req, gather);
}

/* Where nothing is in use that a commit could give back, all of it is reserved
 * by changes under way: they need nothing of this request. */
static enum vhd_step
find_room(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct budgets *b = &img->commit.budgets;
  struct need most = { .n = { 1, 1, 2, 1 } };
  enum budget_kind lacking;

  pthread_mutex_lock(&img->top->lock);
  if (commit_reserve(img, &most, &lacking)) {
    budgets_release(b, &most);
    pthread_mutex_unlock(&img->top->lock);
    return request_next(req, gather);
  }
  if (!budget_is_used(&b->of[lacking]))
    return request_park(req, img->top, &b->of[lacking].waiting, NULL, gather);
  bool full_of_retired = lacking == BUDGET_SLOTS &&
                         space_nretired(&img->space) > 0;
  pthread_mutex_unlock(&img->top->lock);
  return full_of_retired ? request_call(req, reclaim_begin, gather)
                         : request_make_room(req, gather);
}

/* Records are to be appended, and perhaps no byte of the file changed for it,
 * by whose time it would be told that they go with it (journal.h): writes one
 * that is there. */
static enum vhd_step
date_file(struct vhd_request *req, phase_fn *then)
{
  static char first_of_header[] = "c";
  const struct layer *top = req->image->top;

  machine_of(req)->dated = true;
  req->nio = 0;
  request_add_io(req, top->file, VHD_IO_WRITE, top->footer.data_offset, 1,
                 first_of_header, 0);
  return request_io(req, then);
}

/* For want of space nothing is given up that would make some. */
static enum vhd_step
go_on_dated(struct vhd_request *req, phase_fn *phase)
{
  int result = request_io_result(req);

  if (result < 0 && !request_lacks_space(result))
    return request_done(req, result);
  req->nio = 0;
  return request_next(req, phase);
}

static enum vhd_step
gather_dated(struct vhd_request *req)
{
  return go_on_dated(req, gather);
}

/* What stops the gathering when nothing has been gathered. */
static __attribute__((noinline)) enum vhd_step
clear_the_way(struct vhd_request *req, enum decision d)
{
  struct vhd_image *img = req->image;
  const struct map_need *need = &machine_of(req)->need;
  uint32_t blk = (uint32_t)(machine_of(req)->pos >> img->top->block_shift);

  if (d != LOAD) /* it looks anew: nobody needs to wait for it */
    request_unpin(req);
  switch (d) {
  case LOAD:
    return request_load(req, need->layer, need->blk, gather);
  case WAIT:
    return wait_for_block(req, blk);
  case CROWDED:
    return wait_for_bitmap(req, blk);
  case NO_ROOM:
    return find_room(req);
  case UNDATED:
    return date_file(req, gather_dated);
  case LONG:
    return request_look_later(req, gather);
  default:
    return request_call(req, grow_begin, grown);
  }
}

/* Has it looked in vain often enough?  Where others were given slots meanwhile
 * there is space, though they came first: it begins anew.  Under lock. */
static bool
gives_up(struct machine *m, const struct space *s)
{
  if (m->squeezed == 0 || m->given != s->given) {
    m->given = s->given;
    m->squeezed = 0;
  }
  return m->squeezed++ >= SQUEEZE_MAX;
}

/* A commit makes slots of what is pending, and reclaiming gives the disk below
 * space, also of what this request has just failed to fill: each has its turn.
 * Others may still look at what is free. */
static enum vhd_step
find_space(struct vhd_request *req, int result)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);
  struct space *s = &img->space;

  request_unpin(req);
  pthread_mutex_lock(&img->top->lock);
  enum space_outlook outlook = space_outlook(img);
  if (outlook == SPACE_LATER)
    return request_wait_epoch(req, gather);
  bool retired = space_nretired(s) > 0, pending = space_npending(s) > 0;
  bool over = gives_up(m, s);
  pthread_mutex_unlock(&img->top->lock);
  if (over)
    return request_done(req, result);
  if (retired && (!pending || m->squeezed % 2 != 0))
    return request_call(req, reclaim_begin, gather);
  if (pending)
    return request_make_room(req, gather);
  return outlook == SPACE_NOW ? request_next(req, gather)
                              : request_done(req, result);
}

static enum vhd_step
grown(struct vhd_request *req)
{
  int result = machine_of(req)->grow_result;

  if (result == 0)
    return request_next(req, gather);
  return request_lacks_space(result) ? find_space(req, result)
                                     : request_done(req, result);
}

static enum vhd_step
gather(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);
  uint64_t end = req->off + req->len;
  bool dirty = false;

  int failed = atomic_load(&img->failed);
  if (failed < 0)
    return request_done(req, failed);
  request_pin(req);
  m->npiece = 0;
  while (m->pos < end && m->npiece < REQUEST_PIECES) {
    struct piece *p = &m->piece[m->npiece];
    enum decision d = change_plan(req, p, &m->need);
    if (d == PIECE) {
      m->pos += p->len;
      m->npiece++;
      dirty |= p->punch_first;
      if (p->kind != PIECE_IN_PLACE)
        m->release = change_abort;
      if (p->edge[0] || p->edge[1])
        return request_next(req, edges);
      continue;
    }
    if (d == NOTHING) {
      m->pos += p->len;
      m->need.looked++;
      if (!map_is_long(&m->need))
        continue;
      d = LONG;
    }
    if (m->npiece == 0)
      return clear_the_way(req, d);
    break;
  }
  if (m->npiece == REQUEST_PIECES)
    REACHED(BOUND_PIECES);
  req->nio = 0;
  if (m->npiece > 0)
    return request_next(req, dirty ? punch_slots : data_io);
  return finish_change(req);
}

/* -------------------------------------------------------------------- edges */

/* Where the sector of edge e of the only piece begins. */
static uint64_t
edge_off(const struct piece *p, unsigned e)
{
  return round_down(e == 0 ? p->off : p->off + p->len - 1, 512);
}

/* Fetches what the ancestors say of partial sectors. */
static enum vhd_step
edges(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);
  const struct piece *p = &m->piece[0];
  struct map_need *need = &m->need;
  struct vhd_run run;

  req->nio = 0;
  for (unsigned e = 0; e < 2; e++) {
    uint64_t off = edge_off(p, e);
    if (!p->edge[e])
      continue;
    memset(m->edge[e], 0, 512);
    if (!image_is_child(img))
      continue;
    if (!map_from(m->layers, 1, off, 512, &run, need))
      return request_load(req, need->layer, need->blk, edges);
    if (run.kind == VHD_RUN_DATA)
      request_add_io(req, run.file, VHD_IO_READ, run.file_off, 512, m->edge[e],
                     0);
  }
  return req->nio > 0 ? request_io(req, edges_read)
                      : request_next(req, edges_read);
}

/* Lays the request's own bytes over them. */
static enum vhd_step
edges_read(struct vhd_request *req)
{
  struct machine *m = machine_of(req);
  const struct piece *p = &m->piece[0];

  int result = request_io_result(req);
  if (result < 0)
    return request_done(req, result);
  for (unsigned e = 0; e < 2; e++) {
    uint64_t off = edge_off(p, e);
    uint64_t from = MAX(off, p->off);
    uint64_t to = MIN(off + 512, p->off + p->len);
    if (!p->edge[e])
      continue;
    if (req->op == VHD_WRITE)
      memcpy(m->edge[e] + (from - off), (char *)req->buf + (from - req->off),
             to - from);
    else
      memset(m->edge[e] + (from - off), 0, to - from);
  }
  return request_next(req, punch_slots);
}

/* --------------------------------------------------------------------- data */

static enum vhd_step
punch_slots(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);

  req->nio = 0;
  for (unsigned i = 0; i < m->npiece; i++)
    if (m->piece[i].punch_first && RULE(PUNCH))
      request_add_io(req, img->top->file, VHD_IO_PUNCH,
                     (uint64_t)m->piece[i].slot * 512,
                     (uint64_t)img->space.slot_sec * 512, NULL, 0);
  return req->nio > 0 ? request_io(req, data_io) : request_next(req, data_io);
}

/* How a zeroed stretch of a piece is carried out; PUNCH and ZERO read the
 * same. */
static void
add_zeroes(struct vhd_request *req, const struct piece *p, uint64_t file_off,
           uint64_t len)
{
  bool keep = req->flags & VHD_NO_HOLE;

  if (len == 0 || (p->kind == PIECE_ALLOCATE && !keep))
    return; /* a slot reads as zeros from the start */
  request_add_io(req, req->image->top->file, keep ? VHD_IO_ZERO : VHD_IO_PUNCH,
                 file_off, len, NULL, 0);
}

/* Of a piece that may be more than bytes into a block that stays. */
static __attribute__((noinline)) void
add_piece_ios(struct vhd_request *req, const struct piece *p)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);
  uint64_t data = slot_data_off(img->top, p->slot) -
                  round_down(p->off, 1ULL << img->top->block_shift);
  uint64_t from = p->off, to = p->off + p->len;

  if (p->secure)
    request_add_io(req, img->top->file, VHD_IO_EXTEND, p->slot * 512ULL,
                   img->top->bitmap_sec * 512ULL, NULL, VHD_IO_RESERVE);
  for (unsigned e = 0; e < 2; e++)
    if (p->edge[e])
      request_add_io(req, img->top->file, VHD_IO_WRITE, data + edge_off(p, e),
                     512, m->edge[e], 0);
  if (p->edge[0])
    from = MIN(edge_off(p, 0) + 512, to);
  if (p->edge[1])
    to = edge_off(p, 1);
  if (from >= to)
    return;
  if (req->op == VHD_WRITE)
    request_add_io(req, img->top->file, VHD_IO_WRITE, data + from, to - from,
                   (char *)req->buf + (from - req->off), 0);
  else
    add_zeroes(req, p, data + from, to - from);
}

static void
add_piece_io(struct vhd_request *req, const struct piece *p)
{
  struct layer *top = req->image->top;
  uint64_t in = p->off & ((1ULL << top->block_shift) - 1);

  if (p->kind == PIECE_IN_PLACE && req->op == VHD_WRITE)
    request_add_io(req, top->file, VHD_IO_WRITE,
                   slot_data_off(top, p->slot) + in, p->len,
                   (char *)req->buf + (p->off - req->off),
                   machine_of(req)->durable ? VHD_IO_DURABLE : 0);
  else
    add_piece_ios(req, p);
}

/* Are these pieces the whole request? */
static bool
covers_all(const struct vhd_request *req)
{
  const struct machine *m = (const struct machine *)req->machine;

  return m->piece[0].off == req->off && m->pos == req->off + req->len;
}

static enum vhd_step
data_io_dated(struct vhd_request *req)
{
  return go_on_dated(req, data_io);
}

static enum vhd_step
data_io(struct vhd_request *req)
{
  struct machine *m = machine_of(req);

  int result = request_io_result(req); /* of the punches */
  if (result < 0)
    return request_done(req, result);
  if (m->release && req->op != VHD_WRITE && req->image->pulse && !m->dated)
    return date_file(req, data_io_dated);
  req->nio = 0;
  m->durable = !m->release && !m->changed && covers_all(req) &&
               may_be_durable(req);
  for (unsigned i = 0; i < m->npiece; i++)
    add_piece_io(req, &m->piece[i]);
  if (!RULE(PUBLISH))
    change_publish(req);
  return req->nio > 0 ? request_io(req, data_done)
                      : request_next(req, data_done);
}

/* Bytes that were to be durable are not: if it was a sync that failed, it is as
 * after any other. */
static void
note_loss(struct vhd_request *req)
{
  for (unsigned i = 0; i < req->nio; i++)
    if (req->io[i].flags & VHD_IO_LOST && RULE(FAILED_SYNC))
      atomic_store(&req->image->failed, req->io[i].result);
}

static enum vhd_step
data_done(struct vhd_request *req)
{
  struct machine *m = machine_of(req);
  int result = request_io_result(req);

  if (req->nio > 0)
    atomic_fetch_add(&req->image->write_seq, 1);
  if (result < 0 && m->durable)
    note_loss(req);
  if (request_lacks_space(result) && m->npiece > 0) {
    m->pos = m->piece[0].off;
    change_abort(req);
    return find_space(req, result);
  }
  if (result < 0)
    return request_done(req, result);
  m->squeezed = 0;
  if (m->release) /* not only bytes have changed */
    change_publish(req);
  if (m->pos == req->off + req->len)
    return finish_change(req);
  return request_next(req, gather);
}

enum vhd_step
change_begin(struct vhd_request *req)
{
  return gather(req);
}

/* ------------------------------------------------------------ fixed images */

static enum vhd_step
fixed_done(struct vhd_request *req)
{
  int result = request_io_result(req);

  atomic_fetch_add(&req->image->write_seq, 1);
  if (result < 0 && machine_of(req)->durable)
    note_loss(req);
  return result < 0 ? request_done(req, result) : finish_change(req);
}

enum vhd_step
fixed_change(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  enum vhd_io_kind kind =
    req->op == VHD_WRITE ? VHD_IO_WRITE
    : req->flags & VHD_NO_HOLE ? VHD_IO_ZERO : VHD_IO_PUNCH;

  int failed = atomic_load(&img->failed);
  if (failed < 0 || req->len == 0)
    return request_done(req, failed);
  req->nio = 0;
  machine_of(req)->durable = kind == VHD_IO_WRITE && req->flags & VHD_FUA;
  request_add_io(req, img->top->file, kind, req->off, req->len, req->buf,
                 machine_of(req)->durable ? VHD_IO_DURABLE : 0);
  return request_io(req, fixed_done);
}
