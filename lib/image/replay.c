/* SPDX-License-Identifier: BSD-2-Clause */
/* replay.c: see replay.h.
 *
 * The records go on from the last successful commit.  The file, as the page
 * cache has it, may hold any part of the commit that was under way.  So the BAT
 * entry of a block is one of the values that its records name; anything else
 * means that another program has changed the image since, and then nothing is
 * replayed.  All records are looked at for that, and where they lead, before
 * the first is applied.
 *
 * How much a live image keeps does not bound what is taken over.  A writable
 * image commits between two records where a budget is used up.  A block's slot
 * is not used for another while records speak of it, so what the disk has then
 * is a state that the image once had.  An image that is only read keeps the
 * bitmaps that the records tell of in its cache, which is made larger for them,
 * up to a bound: of our own journals, whose process kept fewer dirty, it takes
 * all. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/bounds.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "image/apply.h"
#include "image/replay.h"
#include "store/extents.h"

struct stay {
  uint32_t slot, blk;
};

struct replay {
  struct vhd_image *img;
  struct vhd_error *err;
  const struct bat *bat; /* of replay_check(): as the file has it */
  /* Of replay_check(); bitmaps, a bit a block. */
  uint8_t *doubtful; /* records must account for its entry in the file */
  uint8_t *named;    /* they do */
  /* And where records say that blocks lay or came to lie. */
  struct stay *stay;
  size_t nstay;
};

static bool
is_bits(const struct journal_record *rec)
{
  return rec->kind == JOURNAL_BITS || rec->kind == JOURNAL_ZEROS;
}

static int
damaged(struct replay *r)
{
  const char *path = r->img->journal_file.path;

  return vhd_fail(r->err, VHD_JOURNAL, EIO,
                  "%s: its journal '%s', which a killed program left, is "
                  "damaged; if the changes in it are not wanted, remove that "
                  "file", r->img->top->path, path ? path : "");
}

/* Blocks past the size in effect are somebody's; they have no place in this
 * table. */
static int
out_of_reach(struct replay *r, uint32_t blk)
{
  const struct layer *top = r->img->top;
  const char *path = r->img->journal_file.path;

  if ((uint64_t)blk << top->block_shift >= top->own_size)
    return damaged(r);
  return vhd_fail(r->err, VHD_JOURNAL, EIO,
                  "%s: a killed program left acknowledged changes past the "
                  "size of the geometry in the journal '%s'; open the image "
                  "once for writing at its full size, which writes them down",
                  top->path, path ? path : "");
}

int
replay_refuse(const struct vhd_image *img, struct vhd_error *err)
{
  const char *path = img->journal_file.path;

  return vhd_fail(err, VHD_JOURNAL, EIO,
                  "%s: a killed program left acknowledged changes of this "
                  "image in the journal '%s', but the image was changed since "
                  "by another program, so they do not go together; if the "
                  "image is right as it is now, remove that file, and they are "
                  "gone", img->top->path, path ? path : "");
}

/* ----------------------------------------------------------- looking at all */

static int
look_at_bits(struct replay *r, const struct journal_record *rec)
{
  struct layer *top = r->img->top;
  uint32_t valid = layer_block_sectors(top, rec->blk);

  if (rec->a >= valid || rec->b > valid - rec->a)
    return damaged(r);
  /* Freed later, says a record to come. */
  if (bat_slot(r->bat, rec->blk) == NO_SLOT)
    bitmap_set(r->doubtful, rec->blk, 1);
  return 0;
}

/* Could the block ever have lain there?  Files do not get shorter while they
 * are in use.  What others have by the file's table lies elsewhere. */
static bool
is_place(const struct layout *l, uint32_t blk, uint32_t slot)
{
  uint64_t off = (uint64_t)slot * 512;
  uint64_t len = (uint64_t)layout_block_sectors(l, blk) * 512;

  if (slot == bat_slot(&l->bat, blk))
    return true;
  if (!range_fits(off, len, l->footer_off) ||
      layout_slot_over(l, off, len) != NO_SLOT)
    return false;
  for (unsigned i = 0; i < l->nregion; i++) {
    const struct region *o = &l->region[i];
    if (off < o->off + o->len && o->off < off + len &&
        strcmp(o->what, LAYOUT_UNKNOWN) != 0)
      return false;
  }
  return true;
}

/* Notes that a record gives the block this slot, or takes it away. */
static int
look_at_slot(struct replay *r, uint32_t blk, uint32_t slot)
{
  if (slot == NO_SLOT)
    return 0;
  if (!is_place(&r->img->top->layout, blk, slot))
    return replay_refuse(r->img, r->err);
  r->stay[r->nstay++] = (struct stay){ slot, blk };
  return 0;
}

static int
look_at_record(void *opaque, const struct journal_record *rec)
{
  struct replay *r = opaque;

  if (rec->blk >= r->img->top->nblk)
    return out_of_reach(r, rec->blk);
  if (is_bits(rec))
    return look_at_bits(r, rec);
  if (rec->kind != JOURNAL_BAT)
    return damaged(r);
  uint32_t disk = bat_slot(r->bat, rec->blk);
  bitmap_set(r->doubtful, rec->blk, 1);
  if (disk == rec->a || disk == rec->b)
    bitmap_set(r->named, rec->blk, 1);
  int e = look_at_slot(r, rec->blk, rec->a);
  return e < 0 ? e : look_at_slot(r, rec->blk, rec->b);
}

static int
compare_stays(const void *a, const void *b)
{
  const struct stay *x = a, *y = b;

  if (x->slot != y->slot)
    return x->slot < y->slot ? -1 : 1;
  return x->blk < y->blk ? -1 : x->blk > y->blk;
}

/* Where one block lay, no other does while the records speak of it, and itself
 * only at the same sector. */
static int
look_at_stays(struct replay *r)
{
  const struct layout *l = &r->img->top->layout;
  const struct stay *stay = r->stay;

  qsort(r->stay, r->nstay, sizeof *r->stay, compare_stays);
  for (size_t i = 1; i < r->nstay; i++) {
    const struct stay *a = &stay[i - 1], *b = &stay[i];
    bool same = a->slot == b->slot && a->blk == b->blk;
    if (!same && b->slot - a->slot < layout_block_sectors(l, a->blk))
      return replay_refuse(r->img, r->err);
  }
  return 0;
}

static int
look_at_all(struct replay *r, const struct journal *journal)
{
  int e = journal_each(journal, look_at_record, r);

  for (uint32_t blk = 0; e == 0 && blk < r->img->top->nblk; blk++)
    if (bitmap_test(r->doubtful, blk) && !bitmap_test(r->named, blk))
      e = replay_refuse(r->img, r->err);
  return e < 0 ? e : look_at_stays(r);
}

static int
look(struct vhd_image *img, const struct bat *bat,
     const struct journal *journal, struct vhd_error *err)
{
  size_t bytes = DIV_ROUND_UP(img->top->nblk, 8);
  CLEANUP_FREE uint8_t *doubtful = calloc(bytes, 1);
  CLEANUP_FREE uint8_t *named = calloc(bytes, 1);
  CLEANUP_FREE struct stay *stay =
    calloc(2 * (size_t)journal_used(journal), sizeof *stay);
  struct replay r = { img, err, bat, doubtful, named, stay, 0 };

  if (!doubtful || !named || !stay)
    return vhd_fail_sys(err, ENOMEM, "%s", img->top->path);
  return look_at_all(&r, journal);
}

/* ----------------------------------------------------------- where it leads */

static int
move_block(void *opaque, const struct journal_record *rec)
{
  struct bat *bat = opaque;

  if (rec->kind == JOURNAL_BAT)
    bat_set(bat, rec->blk, rec->b);
  return 0;
}

/* --------------------------------------------------- is it there, after all */

/* A file system that was mounted anew has lost its page cache.  If it was
 * unmounted before, all of that was written; if its disk went away, or was put
 * back as it had been, the times of a file may be on it and the data that were
 * written then not.  A slot is a hole before it is written, or space that is
 * set aside, so it shows. */
struct presence {
  struct vhd_image *img;
  struct vhd_error *err;
  struct bat bat; /* as the records so far have it */
};

static int
lost(const struct presence *p)
{
  const char *path = p->img->journal_file.path;

  return vhd_fail(p->err, VHD_JOURNAL, EIO,
                  "%s: a killed program left acknowledged changes of this "
                  "image in the journal '%s', but the file system was mounted "
                  "anew since, and data that belong to them are not on its "
                  "disk: it had been lost for a time, or they were zeroed "
                  "later; the image is as it was last flushed: if it is to be "
                  "used so, remove that file, and the changes are gone",
                  p->img->top->path, path ? path : "");
}

static int
look_for_data(void *opaque, const struct journal_record *rec)
{
  struct presence *p = opaque;
  const struct layout *l = &p->img->top->layout; /* all records applied */

  if (rec->kind == JOURNAL_BAT)
    bat_set(&p->bat, rec->blk, rec->b);
  uint32_t slot = bat_slot(&p->bat, rec->blk);
  if (rec->kind != JOURNAL_BITS || slot == NO_SLOT ||
      slot != bat_slot(&l->bat, rec->blk))
    return 0;
  uint64_t off = ((uint64_t)slot + l->bitmap_sec + rec->a) * 512;
  uint64_t len = (uint64_t)rec->b * 512;
  return file_data_within(p->img->top->file, off, len) < len ? lost(p) : 0;
}

static int
find_data(struct vhd_image *img, const struct bat *before,
          const struct journal *journal, struct vhd_error *err)
{
  struct presence p = { .img = img, .err = err };

  if (!img->journal_file.remounted)
    return 0;
  if (bat_copy(&p.bat, before, before->n) < 0)
    return vhd_fail_sys(err, ENOMEM, "%s", img->top->path);
  int e = journal_each(journal, look_for_data, &p);
  bat_free(&p.bat);
  return e;
}

int
replay_check(struct vhd_image *img, const struct journal *journal,
             struct vhd_error *err)
{
  struct layout *l = &img->top->layout;
  struct bat bat = l->bat;
  struct vhd_error why = { .code = VHD_OK };

  int e = look(img, &bat, journal, err);
  if (e < 0)
    return e;
  if (bat_copy(&l->bat, &bat, bat.n) < 0) {
    l->bat = bat;
    return vhd_fail_sys(err, ENOMEM, "%s", img->top->path);
  }
  journal_each(journal, move_block, &l->bat);
  e = layout_recheck(img->top->file, l, &why);
  int missing = e < 0 ? 0 : find_data(img, &bat, journal, err);
  bat_free(&l->bat);
  l->bat = bat;
  /* That the table cannot be looked at says nothing of what is in it. */
  if (e < 0 && why.code != VHD_BAT_CORRUPT)
    return vhd_fail_sys(err, -e, "%s", img->top->path);
  if (e < 0)
    return replay_refuse(img, err);
  return missing < 0 ? missing : layout_recheck(img->top->file, l, err);
}

/* ----------------------------------------------------------------- applying */

/* What one record takes. */
static const struct need a_record = {
  .n = { [BUDGET_DIRTY] = 1, [BUDGET_BITMAPS] = 1 },
};

/* What was applied so far goes to disk.  The journal keeps its records: the
 * image has not been given it yet. */
static int
write_down(struct replay *r)
{
  int e = vhd_flush(r->img);

  return e < 0 ? vhd_fail_sys(r->err, -e, "%s: what a killed program left "
                              "cannot be written", r->img->top->path) : 0;
}

/* Bitmaps of an image that is only read stay for good; some more are for its
 * readers. */
static int
find_room(struct replay *r)
{
  const struct bitmaps *c = &r->img->top->bitmaps;

  if (c->all || c->ndirty < REPLAY_BITMAPS_BYTES / c->bytes)
    return 0;
  return vhd_fail(r->err, VHD_JOURNAL, ENOMEM,
                  "%s: what a killed program left in the journal '%s' takes "
                  "more than %u MiB of memory, unless it is written down; open "
                  "the image once for writing", r->img->top->path,
                  r->img->journal_file.path ? r->img->journal_file.path : "",
                  REPLAY_BITMAPS_BYTES >> 20);
}

/* Makes room for what a record takes; nothing else takes any meanwhile. */
static int
make_room(struct replay *r)
{
  struct vhd_image *img = r->img;
  enum budget_kind lacking;
  int e = 0;

  if (!img->writable)
    return find_room(r);
  while (e == 0 && !commit_reserve(img, &a_record, &lacking))
    e = write_down(r);
  if (e == 0)
    budgets_release(&img->commit.budgets, &a_record);
  return e;
}

/* Sees to it that the block's bitmap is in the cache.  There is room. */
static int
bring_bitmap(struct replay *r, uint32_t blk)
{
  struct layer *top = r->img->top;

  if (bitmaps_find(&top->bitmaps, blk))
    return 0;
  struct bitmap *b = bitmaps_claim(top, blk);
  assert(b);
  if (summary_of(top->state[blk]) == BITS_NONE)
    return 0;
  int e = file_read(top->file, bitmaps_bits(&top->bitmaps, b),
                    top->bitmaps.bytes, (uint64_t)layer_slot(top, blk) * 512);
  return e < 0 ? vhd_fail_sys(r->err, -e, "%s: cannot read a bitmap",
                              top->path) : 0;
}

/* Does it say nothing?  Of a block that is freed later the table of the file
 * may lack the slot already. */
static bool
is_void(const struct layer *top, const struct journal_record *rec)
{
  return is_bits(rec) &&
         (layer_slot(top, rec->blk) == NO_SLOT ||
          summary_of(top->state[rec->blk]) == BITS_ALL);
}

static int
replay_record(void *opaque, const struct journal_record *rec)
{
  struct replay *r = opaque;

  if (is_void(r->img->top, rec))
    return 0;
  int e = make_room(r);
  if (e == 0 && is_bits(rec))
    e = bring_bitmap(r, rec->blk);
  if (e == 0)
    apply_record(r->img, rec);
  return e;
}

/* Room for as many as the records may take, and for those of readers.  A
 * writable image writes them down. */
static int
reserve_bitmaps(struct vhd_image *img, const struct journal *journal)
{
  struct bitmaps *c = &img->top->bitmaps;
  uint32_t most = MAX(REPLAY_BITMAPS_BYTES / c->bytes, 1);

  if (img->writable)
    return 0;
  return bitmaps_reserve(c, MIN(most, journal_used(journal)) + c->n);
}

/* Where the blocks lie now. */
static int
find_blocks(struct replay *r)
{
  struct layer *top = r->img->top;

  top->layout.bat = top->bat;
  int e = layout_recheck(top->file, &top->layout, r->err);
  top->layout.bat = (struct bat){ 0 };
  return e;
}

int
replay_journal(struct vhd_image *img, const struct journal *journal,
               struct vhd_error *err)
{
  struct replay r = { .img = img, .err = err };

  if (reserve_bitmaps(img, journal) < 0)
    return vhd_fail_sys(err, ENOMEM, "%s", img->top->path);
  int e = journal_each(journal, replay_record, &r);
  return e == 0 ? find_blocks(&r) : e;
}
