/* SPDX-License-Identifier: BSD-2-Clause */
/* dirty.c: the dirty set (commit.h), and the budgets of it and of what else a
 * change takes until a commit. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/table.h"
#include "image/image.h"

#define HASH_SIZE (2 * DIRTY_MAX)

int
commit_init(struct vhd_image *img)
{
  struct commit *c = &img->commit;
  uint32_t bitmap_bytes = img->top->bitmap_sec * 512;

  if (img->top->fixed)
    return 0;
  c->dirty = table_zeroed(DIRTY_MAX, sizeof *c->dirty);
  c->hash = table_zeroed(HASH_SIZE, sizeof *c->hash);
  c->bat_sectors = calloc(DIV_ROUND_UP(img->top->nblk, 128 * 8) + 1, 1);
  c->bat_buf = table_zeroed(COMMIT_BAT_SECTORS, 512);
  c->ones = malloc(bitmap_bytes);
  if (!c->dirty || !c->hash || !c->bat_sectors || !c->bat_buf || !c->ones)
    return -ENOMEM;
  memset(c->ones, 0xff, bitmap_bytes);
  if (img->top->layout.has_batmap) {
    c->batmap = img->top->layout.batmap_bits;
    c->batmap_bytes = img->top->layout.batmap.nsec * 512;
    c->batmap_buf = malloc(BATMAP_HEADER_SIZE + c->batmap_bytes);
    if (!c->batmap_buf)
      return -ENOMEM;
  }
  return 0;
}

void
commit_destroy(struct commit *c)
{
  table_free(c->dirty, DIRTY_MAX, sizeof *c->dirty);
  table_free(c->hash, HASH_SIZE, sizeof *c->hash);
  free(c->bat_sectors);
  table_free(c->bat_buf, COMMIT_BAT_SECTORS, 512);
  free(c->ones);
  free(c->batmap_buf);
}

/* The bucket that holds blk, or the empty one where it would go. */
static uint32_t
hash_find(const struct commit *c, uint32_t blk)
{
  uint32_t h = blk * 2654435761U >> 16;

  for (;; h++) {
    h &= HASH_SIZE - 1;
    if (c->hash[h] == 0 || c->dirty[c->hash[h] - 1].blk == blk)
      return h;
  }
}

struct dirty *
commit_find(const struct commit *c, uint32_t blk)
{
  uint32_t h = hash_find(c, blk);

  return c->hash[h] ? &c->dirty[c->hash[h] - 1] : NULL;
}

/* Takes a bucket out of a linear probing sequence: those behind move up. */
static void
hash_delete(struct commit *c, uint32_t blk)
{
  uint32_t hole = hash_find(c, blk);

  for (uint32_t i = (hole + 1) & (HASH_SIZE - 1); c->hash[i] != 0;
       i = (i + 1) & (HASH_SIZE - 1)) {
    uint32_t home = c->dirty[c->hash[i] - 1].blk * 2654435761U >> 16 &
                    (HASH_SIZE - 1);
    if (((i - home) & (HASH_SIZE - 1)) >= ((i - hole) & (HASH_SIZE - 1))) {
      c->hash[hole] = c->hash[i];
      hole = i;
    }
  }
  c->hash[hole] = 0;
}

void
commit_forget(struct vhd_image *img, struct dirty *d)
{
  struct commit *c = &img->commit;
  struct dirty *last = &c->dirty[c->ndirty - 1];

  hash_delete(c, d->blk);
  layer_set_flags(img->top, d->blk, 0, BLOCK_DIRTY);
  if (d != last) {
    c->hash[hash_find(c, last->blk)] = (uint32_t)(d - c->dirty) + 1;
    *d = *last;
  }
  c->ndirty--;
}

void
commit_begin(struct vhd_image *img)
{
  struct commit *c = &img->commit;
  struct bitmaps *bitmaps = &img->top->bitmaps;
  struct journal *journal = img->journal;
  uint32_t records = UINT32_MAX;

  if (journal) {
    c->nrecords = journal_used(journal);
    records = c->nrecords + journal_room(journal);
  }
  c->budgets = (struct budgets){ .of = {
    [BUDGET_DIRTY] = { DIRTY_MAX, &c->ndirty },
    [BUDGET_BITMAPS] = { bitmaps_limit(bitmaps), &bitmaps->ndirty },
    [BUDGET_RECORDS] = { records, &c->nrecords },
    [BUDGET_SLOTS] = { SPACE_PENDING, &img->space.nleft },
  } };
}

void
commit_trim(struct vhd_image *img, uint64_t mark)
{
  img->commit.nrecords -= journal_trim(img->journal, mark);
}

/* Not every image needs as long a journal as it may have. */
static bool
lengthen_journal(struct vhd_image *img)
{
  struct commit *c = &img->commit;

  if (!img->journal || !journal_file_reserve(&img->journal_file))
    return false;
  journal_widen(img->journal, img->journal_file.bytes);
  c->budgets.of[BUDGET_RECORDS].limit =
    c->nrecords + journal_room(img->journal);
  return true;
}

bool
commit_reserve(struct vhd_image *img, const struct need *need,
               enum budget_kind *lacking)
{
  struct budgets *b = &img->commit.budgets;

  return budgets_reserve(b, need, lacking) ||
         (*lacking == BUDGET_RECORDS && lengthen_journal(img) &&
          budgets_reserve(b, need, lacking));
}

/* The block's entry, made if there is none. */
static struct dirty *
note(struct vhd_image *img, uint32_t blk, uint32_t before)
{
  struct commit *c = &img->commit;
  struct dirty *d = commit_find(c, blk);

  if (!d) {
    assert(c->ndirty < DIRTY_MAX);
    d = &c->dirty[c->ndirty];
    *d = (struct dirty){ .blk = blk, .disk = before };
    uint32_t h = hash_find(c, blk);
    c->hash[h] = ++c->ndirty;
    layer_set_flags(img->top, blk, BLOCK_DIRTY, 0);
  }
  return d;
}

void
commit_note_moved(struct vhd_image *img, uint32_t blk, uint32_t before)
{
  note(img, blk, before)->flags |= DIRTY_CURRENT;
}

void
commit_note(struct vhd_image *img, uint32_t blk, uint32_t before, bool bitmap)
{
  struct commit *c = &img->commit;

  note(img, blk, before)->flags |= DIRTY_CURRENT | (bitmap ? DIRTY_BITMAP : 0);

  /* Xen takes a set bit for "the whole block is here". */
  if (c->batmap && blk < c->batmap_bytes * 8 && bitmap_test(c->batmap, blk)) {
    bitmap_clear(c->batmap, blk, 1);
    c->batmap_dirty = true;
  }
}
