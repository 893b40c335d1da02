/* SPDX-License-Identifier: BSD-2-Clause */
/* plan.c: see plan.h. */
#include "config.h"

#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/rules.h"
#include "image/apply.h"
#include "image/image.h"
#include "image/plan.h"

/* -------------------------------------------------------------- publishing */

/* Tells the journal and the image of it; under lock. */
static void
publish(struct vhd_image *img, enum journal_kind kind, uint32_t blk, uint32_t a,
        uint32_t b)
{
  struct journal_record rec = { kind, blk, a, b };

  if (img->journal && RULE(JOURNAL)) {
    journal_append(img->journal, rec);
    img->commit.nrecords++;
  }
  apply_record(img, &rec);
}

/* The sectors of a piece, now that its ends are complete, are in this file. */
static void
publish_piece(struct vhd_image *img, const struct piece *p, bool zeros)
{
  uint64_t in = p->off & ((1ULL << img->top->block_shift) - 1);
  uint32_t sec = (uint32_t)(in / 512);
  uint32_t nsec = (uint32_t)((in + p->len + 511) / 512) - sec;

  if (p->kind == PIECE_ALLOCATE) {
    publish(img, JOURNAL_BAT, p->blk, NO_SLOT, p->slot);
    img->space.given++;
  }
  if (image_is_child(img) || p->kind == PIECE_SET_BITS)
    publish(img, zeros && !p->edge[0] && !p->edge[1] ? JOURNAL_ZEROS
                                                     : JOURNAL_BITS,
            p->blk, sec, nsec);
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
release(struct vhd_request *req, bool good)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);

  for (unsigned i = 0; i < m->npiece; i++) {
    const struct piece *p = &m->piece[i];
    if (p->kind == PIECE_IN_PLACE)
      continue;
    pthread_mutex_lock(&img->top->lock);
    if (good)
      publish_piece(img, p, req->op != VHD_WRITE);
    else
      abort_piece(img, p);
    m->changed |= good;
    budgets_release(&img->commit.budgets, &p->need);
    layer_set_flags(img->top, p->blk, 0, BLOCK_BUSY);
    struct vhd_request *woken =
      budgets_waiters(&img->commit.budgets, &p->need, NULL);
    woken = waiters_take(&img->top->bitmaps.waiting, NULL, woken);
    woken = waiters_take(&img->top->blocks, &img->top->state[p->blk], woken);
    pthread_mutex_unlock(&img->top->lock);
    waiters_wake(woken);
  }
  m->npiece = 0;
  m->release = NULL;
}

void
change_publish(struct vhd_request *req)
{
  release(req, true);
}

void
change_abort(struct vhd_request *req)
{
  release(req, false);
}

/* ---------------------------------------------------------------- planning */

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

/* Which of the piece's sectors are in this file?  False if the bitmap must be
 * loaded for that. */
static bool
look_at_bits(struct vhd_image *img, struct look *l)
{
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

/* Zeros and trims that hide no ancestor's data need no bitmap: a block that
 * they cover is freed, and what lies under a sector that is not in this file
 * may be wiped, as nobody can see it. */
static bool
needs_bits(const struct vhd_request *req, const struct look *l)
{
  if (req->op == VHD_WRITE)
    return true;
  if (l->slot == NO_SLOT || req->op == VHD_TRIM)
    return false;
  return l->ancestor_holds ||
         (req->flags & VHD_NO_HOLE && image_is_child(req->image));
}

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
static enum decision
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
  struct taken_slot taken = { .slot = l->slot };
  if (action == ALLOCATE && !space_take(img, &taken)) {
    struct bitmap *b = bitmaps_find(&img->top->bitmaps, l->blk);
    if (b)
      bitmaps_forget(&img->top->bitmaps, b);
    budgets_release(&c->budgets, &p->need);
    return GROW;
  }
  p->slot = taken.slot;
  p->punch_first = taken.dirty;
  /* A bitmap that was never written may have no space yet. */
  p->secure = action == ALLOCATE ? taken.sparse
                                 : summary_of(l->state) == BITS_NONE;
  p->kind = action == ALLOCATE ? PIECE_ALLOCATE : PIECE_SET_BITS;
  layer_set_flags(img->top, l->blk, BLOCK_BUSY, 0);
  return PIECE;
}

/* The block loses its slot, here and now; under lock. */
static enum decision
free_block(struct vhd_request *req, const struct look *l)
{
  struct vhd_image *img = req->image;
  struct need need = need_of(img, FREE);
  enum budget_kind lacking;

  if (l->state & (BLOCK_BUSY | BLOCK_LOADING))
    return WAIT;
  if (img->pulse && !machine_of(req)->dated)
    return UNDATED;
  if (!commit_reserve(img, &need, &lacking))
    return NO_ROOM;
  budgets_release(&img->commit.budgets, &need); /* used by what follows */
  publish(img, JOURNAL_BAT, l->blk, l->slot, NO_SLOT);
  space_retire(img, l->slot);
  machine_of(req)->changed = true;
  return NOTHING;
}

/* What is to be done, by what is known of the block; under lock. */
static enum decision
decide(struct vhd_request *req, struct look *l, struct piece *p,
       struct map_need *need)
{
  struct vhd_image *img = req->image;

  l->slot = layer_slot(img->top, l->blk);
  l->state = img->top->state[l->blk];
  if (!needs_bits(req, l)) {
    /* As if some of the sectors were here. */
    l->none = l->slot == NO_SLOT || summary_of(l->state) == BITS_NONE;
  } else if (!look_at_bits(img, l)) {
    need->layer = img->top;
    need->blk = l->blk;
    return LOAD;
  }
  enum action action =
    req->op == VHD_WRITE ? choose_write(l)
    : req->op == VHD_TRIM ? choose_trim(l)
    : choose_zero(img, l, req->flags & VHD_NO_HOLE);
  p->slot = l->slot;
  switch (action) {
  case SKIP:
    return NOTHING;
  case FREE:
    return free_block(req, l);
  case IN_PLACE:
    return PIECE;
  default:
    return take_block(req, l, action, p);
  }
}

/* Ancestors do not change: this needs no lock, and what was found out of the
 * piece in a former step is true. */
static enum map_holds
look_at_ancestors(struct machine *m, const struct piece *p,
                  struct map_need *need)
{
  if (m->clear_from != p->off)
    m->clear_from = m->clear_to = p->off;
  return map_ancestor_holds(m->layers, &m->clear_to, p->off + p->len, need);
}

/* A sector of which only a part is zeroed gets bytes, and the others none: each
 * has a piece, hence a record, of its own (journal.h). */
static void
cut_off_edges(const struct vhd_image *img, struct piece *p)
{
  uint64_t before = p->off % 512, behind = (p->off + p->len) % 512;

  if (!image_is_child(img))
    return;
  if (before > 0)
    p->len = MIN(p->len, 512 - before);
  else if (p->len > 512)
    p->len -= behind;
}

enum decision
change_plan_mapping(struct vhd_request *req, struct piece *p,
                    struct map_need *need)
{
  struct vhd_image *img = req->image;
  struct look l = { .blk = p->blk };

  if (req->op == VHD_ZERO)
    cut_off_edges(img, p);
  look_at_range(img, &l, p->off & ((1ULL << img->top->block_shift) - 1),
                p->len);
  if (req->op != VHD_WRITE) {
    enum map_holds holds = look_at_ancestors(machine_of(req), p, need);
    if (holds == MAP_HOLDS_LOAD || holds == MAP_HOLDS_LONG)
      return holds == MAP_HOLDS_LOAD ? LOAD : LONG;
    l.ancestor_holds = holds == MAP_HOLDS_DATA;
  }
  pthread_mutex_lock(&img->top->lock);
  enum decision d = decide(req, &l, p, need);
  pthread_mutex_unlock(&img->top->lock);
  return d;
}
