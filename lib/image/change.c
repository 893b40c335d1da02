/* SPDX-License-Identifier: BSD-2-Clause */
/* change.c: the requests that change the disk: write, zero and trim.
 *
 * A request is cut at block boundaries into pieces.  plan() looks at one block
 * and finds what its piece comes to (the tables of verdicts below); pieces that
 * can go on together are gathered, then
 *
 *   gather -> [edges] -> [punch dirty slots] -> data I/O -> publish -> gather
 *
 * A piece that changes the mapping of its block holds it BUSY from plan to
 * publish: nobody else changes that block's mapping meanwhile, while reads and
 * in-place writes go on.  A request never parks while it holds a block, but for
 * the bitmap of an ancestor; so there is no circle of waiting.
 *
 * Invariants:
 *   1. The mapping changes in memory only in publish, after the data are
 *      written; what a reader can see is there.
 *   2. What the disk will be told of it is in the journal by then, so that an
 *      acknowledged change outlives the process.
 *   3. A slot that becomes a block's reads as zeros but for what was written:
 *      it came clean, or was punched first. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/bounds.h"
#include "base/rules.h"
#include "image/image.h"
#include "image/map.h"
#include "image/request.h"

static phase_fn end_change, edges, edges_read, punch_slots, data_io, data_done;

static enum vhd_step
end_change(struct vhd_request *req)
{
  return request_done(req, 0);
}

/* Everything is done; durable too? */
static enum vhd_step
finish_change(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  bool commit = req->flags & VHD_FUA ||
                (machine_of(req)->changed && img->write_through);

  if (!commit && req->op != VHD_WRITE && !img->top->fixed) {
    pthread_mutex_lock(&img->top->lock);
    commit = space_npending(&img->space) >= RETIRED_ENOUGH &&
             !img->commit.leader;
    pthread_mutex_unlock(&img->top->lock);
  }
  return commit ? request_commit(req, end_change) : request_done(req, 0);
}

/* ---------------------------------------------------------------- planning */

enum verdict {
  PIECE,   /* the piece is planned, and its block held if need be */
  NOTHING, /* there is nothing to do for it, or it has been done */
  STOP,    /* it must begin a batch of its own */
  LOAD,    /* a bitmap is needed: *need */
  WAIT,    /* the block is held: park on its state */
  CROWDED, /* the bitmap cache is in use: park on it */
  NO_ROOM, /* a budget has no room for it: commit, or wait for others */
  GROW,    /* no slot is to be had: lengthen the runway first */
};

/* What is known of a piece's block, under the lock. */
struct look {
  uint32_t blk, slot;
  uint8_t state;
  uint32_t sec, nsec;   /* that the piece touches */
  bool whole;           /* it covers all sectors of the block */
  bool all, none;       /* of those sectors are in this file */
  bool ancestor_holds;  /* data in the range */
  struct bitmap *bitmap;
};

static void
look_at_range(struct vhd_image *img, struct look *l, uint64_t in, uint64_t len)
{
  l->sec = (uint32_t)(in / 512);
  l->nsec = (uint32_t)((in + len + 511) / 512) - l->sec;
  l->whole = in == 0 && len == layer_block_sectors(img->top, l->blk) * 512ULL;
}

/* Fills in the rest; false if the bitmap must be loaded. */
static bool
look_at_bits(struct vhd_image *img, struct look *l)
{
  l->slot = img->top->bat[l->blk];
  l->state = img->top->state[l->blk];
  l->bitmap = NULL;
  l->all = false;
  l->none = true;
  if (l->slot == NO_SLOT || summary_of(l->state) == BITS_NONE)
    return true;
  if (summary_of(l->state) == BITS_ALL) {
    l->all = true;
    l->none = false;
    return true;
  }
  if (summary_of(l->state) == BITS_UNKNOWN)
    return false;
  l->bitmap = bitmaps_find(&img->top->bitmaps, l->blk);
  if (!l->bitmap || l->bitmap->flags & BITMAP_LOADING)
    return false;
  const uint8_t *bits = bitmaps_bits(&img->top->bitmaps, l->bitmap);
  bool first = bitmap_test(bits, l->sec);
  bool same = bitmap_run(bits, l->sec, l->sec + l->nsec) == l->nsec;
  l->all = same && first;
  l->none = same && !first;
  return true;
}

enum action { SKIP, IN_PLACE, ALLOCATE, SET_BITS, FREE };

static enum action
choose_write(const struct look *l)
{
  if (l->slot == NO_SLOT)
    return ALLOCATE;
  return l->all ? IN_PLACE : SET_BITS;
}

static enum action
choose_trim(const struct look *l)
{
  if (l->slot == NO_SLOT)
    return SKIP;
  if (l->whole && !l->ancestor_holds)
    return FREE;
  return l->none ? SKIP : IN_PLACE;
}

/* What an ancestor holds must be hidden by sectors of this file; what nobody
 * holds is zero without them. */
static enum action
choose_zero(const struct vhd_image *img, const struct look *l, bool no_hole)
{
  bool hide = (l->ancestor_holds && RULE(HIDE)) ||
              (no_hole && image_is_child(img));

  if (l->slot == NO_SLOT)
    return hide || no_hole ? ALLOCATE : SKIP;
  if (l->whole && !hide && !no_hole)
    return FREE;
  if (l->all || (!hide && !l->none))
    return IN_PLACE;
  if (hide)
    return SET_BITS;
  return no_hole ? IN_PLACE : SKIP;
}

/* Which partial sectors at the piece's ends are not in this file, so that the
 * rest of them must be fetched first? */
static void
find_edges(struct vhd_image *img, const struct look *l, struct piece *p)
{
  uint64_t in = p->off & ((1ULL << img->top->block_shift) - 1);
  uint32_t last = l->sec + l->nsec - 1;
  const uint8_t *bits =
    l->bitmap ? bitmaps_bits(&img->top->bitmaps, l->bitmap) : NULL;

  p->edge[0] = in % 512 != 0 && !(bits && bitmap_test(bits, l->sec));
  p->edge[1] = (in + p->len) % 512 != 0 && !(bits && bitmap_test(bits, last));
  if (l->nsec == 1) { /* one sector is one edge */
    p->edge[0] |= p->edge[1];
    p->edge[1] = false;
  }
}

/* What publishing the change of a block takes. */
static struct need
need_of(const struct vhd_image *img, enum action action)
{
  bool bits = action == SET_BITS ||
              (action == ALLOCATE && image_is_child(img));

  return (struct need){ .n = {
    [BUDGET_DIRTY] = 1,
    [BUDGET_BITMAPS] = bits,
    [BUDGET_RECORDS] = (uint8_t)(bits + (action != SET_BITS)),
    [BUDGET_SLOTS] = action == FREE,
  } };
}

/* Takes the block for a change of its mapping; under lock.  Everything is
 * looked at before the first thing is taken. */
static enum verdict
take_block(struct vhd_request *req, const struct look *l, enum action action,
           struct piece *p)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);
  struct commit *c = &img->commit;
  enum budget_kind lacking;

  if (l->state & (BLOCK_BUSY | BLOCK_LOADING) && RULE(BUSY))
    return WAIT;
  find_edges(img, l, p);
  if ((p->edge[0] || p->edge[1]) && m->npiece > 0)
    return STOP;
  p->need = need_of(img, action);
  if (!commit_reserve(img, &p->need, &lacking))
    return NO_ROOM;
  if (p->need.n[BUDGET_BITMAPS] > 0 && !bitmaps_claim(img->top, l->blk)) {
    budgets_release(&c->budgets, &p->need);
    return CROWDED;
  }
  p->slot = l->slot;
  p->punch_first = false;
  if (action == ALLOCATE && !space_take(img, &p->slot, &p->punch_first)) {
    struct bitmap *b = bitmaps_find(&img->top->bitmaps, l->blk);
    if (b)
      bitmaps_forget(&img->top->bitmaps, b);
    budgets_release(&c->budgets, &p->need);
    return GROW;
  }
  p->kind = action == ALLOCATE ? PIECE_ALLOCATE : PIECE_SET_BITS;
  layer_set_flags(img->top, l->blk, BLOCK_BUSY, 0);
  return PIECE;
}

static void
journal(struct vhd_image *img, enum journal_kind kind, uint32_t blk,
        uint32_t a, uint32_t b)
{
  if (img->journal && RULE(JOURNAL))
    journal_append(img->journal, (struct journal_record){ kind, blk, a, b });
}

/* The block loses its slot, here and now; under lock. */
static enum verdict
free_block(struct vhd_request *req, const struct look *l)
{
  struct vhd_image *img = req->image;
  struct need need = need_of(img, FREE);
  enum budget_kind lacking;

  if (l->state & (BLOCK_BUSY | BLOCK_LOADING))
    return WAIT;
  if (!commit_reserve(img, &need, &lacking))
    return NO_ROOM;
  budgets_release(&img->commit.budgets, &need); /* used by what follows */
  struct bitmap *b = bitmaps_find(&img->top->bitmaps, l->blk);
  if (b)
    bitmaps_forget(&img->top->bitmaps, b);
  layer_set_block(img->top, l->blk, NO_SLOT, BITS_UNKNOWN);
  space_retire(img, l->slot);
  commit_note(img, l->blk, l->slot, false);
  journal(img, JOURNAL_BAT, l->blk, l->slot, NO_SLOT);
  machine_of(req)->changed = true;
  return NOTHING;
}

/* Plans the piece at the request's position. */
static enum verdict
plan(struct vhd_request *req, struct piece *p, struct map_need *need)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);
  uint64_t in = m->pos & ((1ULL << img->top->block_shift) - 1);
  struct look l = { .blk = (uint32_t)(m->pos >> img->top->block_shift) };
  uint8_t state;

  memset(p, 0, sizeof *p);
  p->off = m->pos;
  p->len = MIN(req->off + req->len - m->pos,
               (1ULL << img->top->block_shift) - in);
  p->blk = l.blk;
  p->kind = PIECE_IN_PLACE;

  /* Mostly the block is there, whole, and nothing but bytes changes. */
  p->slot = layer_peek(img->top, l.blk, &state);
  if (req->op == VHD_WRITE && p->slot != NO_SLOT &&
      summary_of(state) == BITS_ALL)
    return PIECE;

  look_at_range(img, &l, in, p->len);
  if (req->op != VHD_WRITE) {
    /* Ancestors do not change: this needs no lock. */
    int holds = map_ancestor_holds(m->layers, p->off, p->len, need);
    if (holds < 0)
      return LOAD;
    l.ancestor_holds = holds;
  }

  pthread_mutex_lock(&img->top->lock);
  if (!look_at_bits(img, &l)) {
    pthread_mutex_unlock(&img->top->lock);
    *need = (struct map_need){ img->top, l.blk };
    return LOAD;
  }
  enum action action =
    req->op == VHD_WRITE ? choose_write(&l)
    : req->op == VHD_TRIM ? choose_trim(&l)
    : choose_zero(img, &l, req->flags & VHD_NO_HOLE);
  enum verdict v = PIECE;
  p->slot = l.slot;
  if (action == SKIP)
    v = NOTHING;
  else if (action == FREE)
    v = free_block(req, &l);
  else if (action != IN_PLACE)
    v = take_block(req, &l, action, p);
  pthread_mutex_unlock(&img->top->lock);
  return v;
}

/* The three waits below look once more, under the lock: what is waited for may
 * have come meanwhile. */
static enum vhd_step
wait_for_block(struct vhd_request *req, uint32_t blk)
{
  struct layer *top = req->image->top;

  pthread_mutex_lock(&top->lock);
  if (top->state[blk] & (BLOCK_BUSY | BLOCK_LOADING))
    return request_park(req, top, &top->state[blk], change_gather);
  pthread_mutex_unlock(&top->lock);
  return request_next(req, change_gather);
}

static enum vhd_step
wait_for_bitmap(struct vhd_request *req, uint32_t blk)
{
  struct layer *top = req->image->top;

  pthread_mutex_lock(&top->lock);
  bool there = bitmaps_find(&top->bitmaps, blk);
  struct bitmap *b = bitmaps_claim(top, blk);
  if (!b)
    return request_park(req, top, &top->bitmaps, change_gather);
  if (!there)
    bitmaps_forget(&top->bitmaps, b);
  pthread_mutex_unlock(&top->lock);
  return request_next(req, change_gather);
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
    return request_next(req, change_gather);
  }
  if (!budget_is_used(&b->of[lacking]))
    return request_wait(req, &b->of[lacking], change_gather);
  pthread_mutex_unlock(&img->top->lock);
  return request_make_room(req, change_gather);
}

/* What stops the gathering when nothing has been gathered. */
static enum vhd_step
clear_the_way(struct vhd_request *req, enum verdict v,
              const struct map_need *need)
{
  struct vhd_image *img = req->image;
  uint32_t blk = (uint32_t)(machine_of(req)->pos >> img->top->block_shift);

  request_unpin(req); /* it looks anew: nobody needs to wait for it */
  switch (v) {
  case LOAD:
    return request_load(req, need->layer, need->blk, change_gather);
  case WAIT:
    return wait_for_block(req, blk);
  case CROWDED:
    return wait_for_bitmap(req, blk);
  case NO_ROOM:
    return find_room(req);
  default:
    return request_next(req, runway_grow);
  }
}

enum vhd_step
change_gather(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);
  uint64_t end = req->off + req->len;
  struct map_need need;

  int failed = atomic_load(&img->failed);
  if (failed < 0)
    return request_done(req, failed);
  request_pin(req);
  m->npiece = 0;
  while (m->pos < end && m->npiece < REQUEST_PIECES) {
    struct piece *p = &m->piece[m->npiece];
    enum verdict v = plan(req, p, &need);
    if (v == PIECE || v == NOTHING) {
      m->pos += p->len;
      if (v == NOTHING)
        continue;
      m->npiece++;
      if (p->edge[0] || p->edge[1])
        return request_next(req, edges);
      continue;
    }
    if (m->npiece == 0)
      return clear_the_way(req, v, &need);
    break;
  }
  if (m->npiece > 0)
    return request_next(req, punch_slots);
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
  struct map_need need;
  struct vhd_run run;

  req->nio = 0;
  for (unsigned e = 0; e < 2; e++) {
    uint64_t off = edge_off(p, e);
    if (!p->edge[e])
      continue;
    memset(m->edge[e], 0, 512);
    if (!image_is_child(img))
      continue;
    if (!map_below(machine_of(req)->layers, off, 512, &run, &need))
      return request_load(req, need.layer, need.blk, edges);
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

static void release_pieces(struct vhd_request *req, bool good);

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

static void
add_piece_io(struct vhd_request *req, const struct piece *p)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);
  uint64_t data = slot_data_off(img->top, p->slot) -
                  round_down(p->off, 1ULL << img->top->block_shift);
  uint64_t from = p->off, to = p->off + p->len;

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

static enum vhd_step
data_io(struct vhd_request *req)
{
  struct machine *m = machine_of(req);

  int result = request_io_result(req); /* of the punches */
  if (result < 0)
    return request_done(req, result);
  req->nio = 0;
  for (unsigned i = 0; i < m->npiece; i++)
    add_piece_io(req, &m->piece[i]);
  if (!RULE(PUBLISH))
    release_pieces(req, true);
  return req->nio > 0 ? request_io(req, data_done)
                      : request_next(req, data_done);
}

/* ------------------------------------------------------------------ publish */

/* The sectors of a piece, now that its edges are complete, are in this file. */
static enum summary
add_bits(struct vhd_image *img, const struct piece *p)
{
  uint64_t in = p->off & ((1ULL << img->top->block_shift) - 1);
  uint32_t sec = (uint32_t)(in / 512);
  uint32_t nsec = (uint32_t)((in + p->len + 511) / 512) - sec;
  struct bitmap *b = bitmaps_find(&img->top->bitmaps, p->blk);
  uint8_t *bits = bitmaps_bits(&img->top->bitmaps, b);
  uint32_t valid = layer_block_sectors(img->top, p->blk);

  if (p->kind == PIECE_ALLOCATE ||
      summary_of(img->top->state[p->blk]) == BITS_NONE)
    memset(bits, 0, img->top->bitmaps.bytes);
  bitmap_set(bits, sec, nsec);
  journal(img, JOURNAL_BITS, p->blk, sec, nsec);
  if (bitmap_test(bits, 0) && bitmap_run(bits, 0, valid) == valid) {
    bitmaps_forget(&img->top->bitmaps, b);
    return BITS_ALL;
  }
  bitmaps_mark_dirty(&img->top->bitmaps, b);
  return BITS_MIXED;
}

static void
publish_piece(struct vhd_image *img, const struct piece *p)
{
  enum summary s = BITS_ALL;

  if (p->kind == PIECE_ALLOCATE)
    journal(img, JOURNAL_BAT, p->blk, NO_SLOT, p->slot);
  if (image_is_child(img) || p->kind == PIECE_SET_BITS)
    s = add_bits(img, p);
  commit_note(img, p->blk, img->top->bat[p->blk], true);
  layer_set_block(img->top, p->blk, p->slot, s);
}

static void
abort_piece(struct vhd_image *img, const struct piece *p)
{
  struct bitmap *b = bitmaps_find(&img->top->bitmaps, p->blk);

  if (p->kind == PIECE_ALLOCATE)
    space_untake(img, p->slot);
  if (b && (p->kind == PIECE_ALLOCATE ||
            summary_of(img->top->state[p->blk]) == BITS_NONE))
    bitmaps_forget(&img->top->bitmaps, b);
}

/* Lets the blocks go, changed or as they were. */
static void
release_pieces(struct vhd_request *req, bool good)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);

  for (unsigned i = 0; i < m->npiece; i++) {
    const struct piece *p = &m->piece[i];
    if (p->kind == PIECE_IN_PLACE)
      continue;
    pthread_mutex_lock(&img->top->lock);
    if (good)
      publish_piece(img, p);
    else
      abort_piece(img, p);
    m->changed |= good;
    budgets_release(&img->commit.budgets, &p->need);
    layer_set_flags(img->top, p->blk, 0, BLOCK_BUSY);
    struct vhd_request *woken =
      layer_unpark(img->top, &img->top->state[p->blk]);
    struct vhd_request *more = layer_unpark(img->top, &img->top->bitmaps);
    struct vhd_request *room =
      request_budget_waiters(&img->commit.budgets, &p->need);
    pthread_mutex_unlock(&img->top->lock);
    request_wake(woken);
    request_wake(more);
    request_wake(room);
  }
  m->npiece = 0;
}

void
change_abort(struct vhd_request *req)
{
  release_pieces(req, false);
}

static enum vhd_step
data_done(struct vhd_request *req)
{
  int result = request_io_result(req);

  if (req->nio > 0)
    atomic_fetch_add(&req->image->write_seq, 1);
  if (result < 0)
    return request_done(req, result);
  release_pieces(req, true);
  if (machine_of(req)->pos == req->off + req->len)
    return finish_change(req);
  return request_next(req, change_gather);
}

/* ------------------------------------------------------------ fixed images */

static enum vhd_step
fixed_done(struct vhd_request *req)
{
  int result = request_io_result(req);

  atomic_fetch_add(&req->image->write_seq, 1);
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
  request_add_io(req, img->top->file, kind, req->off, req->len, req->buf, 0);
  return request_io(req, fixed_done);
}
