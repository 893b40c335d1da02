/* SPDX-License-Identifier: BSD-2-Clause */
/* bitmaps.c: see bitmaps.h.  A chained hash over a fixed array, and a clock
 * to choose what is put out. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bounds.h"
#include "base/table.h"
#include "image/layer.h"

static int
bitmaps_make(struct bitmaps *c, uint32_t n, uint32_t bytes, bool writable)
{
  memset(c, 0, sizeof *c);
  c->bytes = bytes;
  c->n = n;
  uint32_t buckets = 1;
  while (buckets < c->n)
    buckets *= 2;
  c->hash_mask = buckets - 1;
  c->hash = table_zeroed(buckets, sizeof *c->hash);
  c->entry = table_zeroed(c->n, sizeof *c->entry);
  c->bits = table_zeroed(c->n, c->bytes);
  if (writable)
    c->twin = table_zeroed(c->n, c->bytes);
  if (!c->hash || !c->entry || !c->bits || (writable && !c->twin)) {
    bitmaps_destroy(c);
    return -ENOMEM;
  }
  return 0;
}

int
bitmaps_init(struct bitmaps *c, uint32_t nblk, uint32_t bitmap_bytes,
             bool writable)
{
  uint32_t n = MAX(BITMAPS_BYTES / bitmap_bytes, BITMAPS_LEAST);

  int e = bitmaps_make(c, MIN(n, MAX(nblk, 1)), bitmap_bytes, writable);
  c->all = e == 0 && c->n >= nblk;
  return e;
}

int
bitmaps_reserve(struct bitmaps *c, uint32_t n)
{
  struct bitmaps old = *c;

  if (c->all || n <= c->n)
    return 0;
  assert(c->ndirty == 0);
  if (bitmaps_make(c, n, old.bytes, old.twin != NULL) < 0) {
    *c = old;
    return -ENOMEM;
  }
  bitmaps_destroy(&old);
  return 0;
}

void
bitmaps_destroy(struct bitmaps *c)
{
  table_free(c->hash, c->hash_mask + 1, sizeof *c->hash);
  table_free(c->entry, c->n, sizeof *c->entry);
  table_free(c->bits, c->n, c->bytes);
  table_free(c->twin, c->n, c->bytes);
  memset(c, 0, sizeof *c);
}

static uint32_t *
bucket(struct bitmaps *c, uint32_t blk)
{
  return &c->hash[blk * 2654435761U >> 7 & c->hash_mask];
}

struct bitmap *
bitmaps_find(struct bitmaps *c, uint32_t blk)
{
  for (uint32_t i = *bucket(c, blk); i != 0; i = c->entry[i - 1].next) {
    struct bitmap *b = &c->entry[i - 1];
    if (b->blk == blk) {
      b->flags |= BITMAP_RECENT;
      return b;
    }
  }
  return NULL;
}

void
bitmaps_drop(struct bitmaps *c, struct bitmap *b)
{
  uint32_t me = (uint32_t)(b - c->entry) + 1;
  uint32_t *link = bucket(c, b->blk);

  assert(!(b->flags & BITMAP_FROZEN));
  while (*link != me)
    link = &c->entry[*link - 1].next;
  *link = b->next;
  if (b->flags & BITMAP_DIRTY)
    c->ndirty--;
  b->flags = 0;
}

void
bitmaps_forget(struct bitmaps *c, struct bitmap *b)
{
  if (!(b->flags & BITMAP_FROZEN)) {
    bitmaps_drop(c, b);
    return;
  }
  if (b->flags & BITMAP_DIRTY)
    c->ndirty--;
  b->flags &= ~BITMAP_DIRTY;
}

static bool
can_go(struct layer *l, const struct bitmap *b)
{
  return !(b->flags & (BITMAP_LOADING | BITMAP_DIRTY | BITMAP_FROZEN)) &&
         !(l->state[b->blk] & BLOCK_BUSY);
}

struct bitmap *
bitmaps_claim(struct layer *l, uint32_t blk)
{
  struct bitmaps *c = &l->bitmaps;
  struct bitmap *b = bitmaps_find(c, blk);

  if (b)
    return b;
  for (uint32_t turns = 0; turns < 2 * c->n; turns++) {
    b = &c->entry[c->hand];
    c->hand = c->hand + 1 == c->n ? 0 : c->hand + 1;
    if (b->flags & BITMAP_USED) {
      if (b->flags & BITMAP_RECENT) {
        b->flags &= ~BITMAP_RECENT;
        continue;
      }
      if (!can_go(l, b))
        continue;
      bitmaps_drop(c, b);
    }
    b->blk = blk;
    b->flags = BITMAP_USED | BITMAP_RECENT;
    b->next = *bucket(c, blk);
    *bucket(c, blk) = (uint32_t)(b - c->entry) + 1;
    return b;
  }
  REACHED(BOUND_CACHE);
  return NULL;
}

uint8_t *
bitmaps_bits(struct bitmaps *c, const struct bitmap *b)
{
  return c->bits + (size_t)(b - c->entry) * c->bytes;
}

uint8_t *
bitmaps_twin(struct bitmaps *c, const struct bitmap *b)
{
  return c->twin + (size_t)(b - c->entry) * c->bytes;
}

void
bitmaps_mark_dirty(struct bitmaps *c, struct bitmap *b)
{
  if (!(b->flags & BITMAP_DIRTY))
    c->ndirty++;
  b->flags |= BITMAP_DIRTY;
}

uint32_t
bitmaps_limit(const struct bitmaps *c)
{
  return c->all ? UINT32_MAX : c->n / 4;
}

void
bitmaps_freeze(struct bitmaps *c, struct bitmap *b)
{
  assert(b->flags & BITMAP_DIRTY && !(b->flags & BITMAP_FROZEN));
  memcpy(bitmaps_twin(c, b), bitmaps_bits(c, b), c->bytes);
  b->flags = (b->flags & ~BITMAP_DIRTY) | BITMAP_FROZEN;
  c->ndirty--;
}

void
bitmaps_thaw(struct bitmaps *c, struct bitmap *b, bool failed)
{
  assert(b->flags & BITMAP_FROZEN);
  b->flags &= ~BITMAP_FROZEN;
  if (failed)
    bitmaps_mark_dirty(c, b);
}
