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
 * How much a live image keeps does not bound what is taken over: the bitmap
 * cache is made as large as the records need, and a writable image commits
 * between two records where its dirty set is full.  A block's slot is not used
 * for another while records speak of it, so what the disk has then is a state
 * that the image once had. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "image/replay.h"

struct replay {
  struct vhd_image *img;
  struct vhd_error *err;
  const struct bat *bat; /* as the file has it */
  /* Bitmaps, a bit a block. */
  uint8_t *doubtful; /* records must account for its entry in the file */
  uint8_t *named;    /* they do */
  uint8_t *partly;   /* has records of sectors */
  uint32_t npartly;
};

static int
damaged(struct replay *r)
{
  return vhd_fail(r->err, VHD_JOURNAL, EIO, "%s: its journal is damaged",
                  r->img->top->path);
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
  if (!bitmap_test(r->partly, rec->blk))
    r->npartly++;
  bitmap_set(r->partly, rec->blk, 1);
  /* freed later, says a record to come */
  if (bat_slot(r->bat, rec->blk) == NO_SLOT)
    bitmap_set(r->doubtful, rec->blk, 1);
  return 0;
}

/* Could the block ever have lain there?  Files do not get shorter while they
 * are in use. */
static bool
is_place(const struct layout *l, uint32_t blk, uint32_t slot)
{
  uint64_t off = (uint64_t)slot * 512;
  uint64_t len = (uint64_t)layout_block_sectors(l, blk) * 512;

  if (slot == NO_SLOT)
    return true;
  if (!range_fits(off, len, l->footer_off))
    return false;
  for (unsigned i = 0; i < l->nregion; i++) {
    const struct region *o = &l->region[i];
    if (off < o->off + o->len && o->off < off + len &&
        strcmp(o->what, LAYOUT_UNKNOWN) != 0)
      return false;
  }
  return true;
}

static int
look_at_record(void *opaque, const struct journal_record *rec)
{
  struct replay *r = opaque;

  if (rec->blk >= r->img->top->nblk)
    return damaged(r);
  if (rec->kind == JOURNAL_BITS)
    return look_at_bits(r, rec);
  if (rec->kind != JOURNAL_BAT)
    return damaged(r);
  if (!is_place(&r->img->top->layout, rec->blk, rec->b))
    return replay_refuse(r->img, r->err);
  uint32_t disk = bat_slot(r->bat, rec->blk);
  bitmap_set(r->doubtful, rec->blk, 1);
  if (disk == rec->a || disk == rec->b)
    bitmap_set(r->named, rec->blk, 1);
  return 0;
}

static int
look_at_all(struct replay *r, const struct journal *journal)
{
  int e = journal_each(journal, look_at_record, r);

  for (uint32_t blk = 0; e == 0 && blk < r->img->top->nblk; blk++)
    if (bitmap_test(r->doubtful, blk) && !bitmap_test(r->named, blk))
      e = replay_refuse(r->img, r->err);
  return e;
}

static int
look(struct vhd_image *img, const struct bat *bat,
     const struct journal *journal, uint32_t *npartly, struct vhd_error *err)
{
  size_t bytes = DIV_ROUND_UP(img->top->nblk, 8);
  CLEANUP_FREE uint8_t *doubtful = calloc(bytes, 1);
  CLEANUP_FREE uint8_t *named = calloc(bytes, 1);
  CLEANUP_FREE uint8_t *partly = calloc(bytes, 1);
  struct replay r = { img, err, bat, doubtful, named, partly, 0 };

  if (!doubtful || !named || !partly)
    return vhd_fail_sys(err, ENOMEM, "%s", img->top->path);
  int e = look_at_all(&r, journal);
  *npartly = r.npartly;
  return e;
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

int
replay_check(struct vhd_image *img, const struct journal *journal,
             struct vhd_error *err)
{
  struct layout *l = &img->top->layout;
  struct bat bat = l->bat;
  uint32_t npartly;

  int e = look(img, &bat, journal, &npartly, err);
  if (e < 0)
    return e;
  if (bat_copy(&l->bat, &bat, bat.n) < 0) {
    l->bat = bat;
    return vhd_fail_sys(err, ENOMEM, "%s", img->top->path);
  }
  journal_each(journal, move_block, &l->bat);
  e = layout_recheck(img->top->file, l, NULL);
  bat_free(&l->bat);
  l->bat = bat;
  if (e < 0)
    return replay_refuse(img, err);
  return layout_recheck(img->top->file, l, err);
}

/* ----------------------------------------------------------------- applying */

/* Notes for the commit that a block differs from the disk.  What is only read
 * commits nothing. */
static void
note(struct vhd_image *img, uint32_t blk, uint32_t before, bool bitmap)
{
  if (img->writable)
    commit_note(img, blk, before, bitmap);
}

static int
apply_bat(struct replay *r, const struct journal_record *rec)
{
  struct vhd_image *img = r->img;
  uint32_t blk = rec->blk, before = layer_slot(img->top, blk);
  struct bitmap *b = bitmaps_find(&img->top->bitmaps, blk);
  bool child = img->top->footer.type == VHD_DIFFERENCING;

  if (b)
    bitmaps_forget(&img->top->bitmaps, b);
  layer_set_block(img->top, blk, rec->b,
                  rec->b == NO_SLOT ? BITS_UNKNOWN
                  : child ? BITS_NONE : BITS_ALL);
  note(img, blk, before, rec->b != NO_SLOT);
  return 0;
}

/* The bitmap as it is now, in the cache. */
static struct bitmap *
get_bitmap(struct replay *r, uint32_t blk)
{
  struct vhd_image *img = r->img;
  struct bitmap *b = bitmaps_find(&img->top->bitmaps, blk);

  if (b)
    return b;
  b = bitmaps_claim(img->top, blk);
  if (!b) {
    damaged(r);
    return NULL;
  }
  uint8_t *bits = bitmaps_bits(&img->top->bitmaps, b);
  memset(bits, summary_of(img->top->state[blk]) == BITS_ALL ? 0xff : 0,
         img->top->bitmaps.bytes);
  if (summary_of(img->top->state[blk]) == BITS_NONE ||
      summary_of(img->top->state[blk]) == BITS_ALL)
    return b;
  int e = file_read(img->top->file, bits, img->top->bitmaps.bytes,
                    (uint64_t)layer_slot(img->top, blk) * 512);
  if (e < 0) {
    vhd_fail_sys(r->err, -e, "%s: cannot read a bitmap", img->top->path);
    return NULL;
  }
  return b;
}

static int
apply_bits(struct replay *r, const struct journal_record *rec)
{
  struct vhd_image *img = r->img;
  uint32_t blk = rec->blk, before = layer_slot(img->top, blk);
  uint32_t valid = layer_block_sectors(img->top, blk);

  if (before == NO_SLOT) /* freed later */
    return 0;
  struct bitmap *b = get_bitmap(r, blk);
  if (!b)
    return -EIO;
  uint8_t *bits = bitmaps_bits(&img->top->bitmaps, b);
  bitmap_set(bits, rec->a, rec->b);
  enum summary s = BITS_MIXED;
  if (bitmap_test(bits, 0) && bitmap_run(bits, 0, valid) == valid) {
    s = BITS_ALL;
    bitmaps_forget(&img->top->bitmaps, b);
  } else {
    bitmaps_mark_dirty(&img->top->bitmaps, b);
  }
  layer_set_block(img->top, blk, before, s);
  note(img, blk, before, true);
  return 0;
}

/* The journal's blocks may lie where the file, as it was read, had none. */
static int
recheck(struct replay *r)
{
  struct layer *top = r->img->top;

  top->layout.bat = top->bat;
  int e = layout_recheck(top->file, &top->layout, r->err);
  top->layout.bat = (struct bat){ 0 };
  return e < 0 ? replay_refuse(r->img, r->err) : 0;
}

/* What was applied so far goes to disk.  The journal keeps its records: the
 * image has not been given it yet. */
static int
make_room(struct replay *r)
{
  int e = recheck(r);
  if (e < 0)
    return e;
  e = vhd_flush(r->img);
  return e < 0 ? vhd_fail_sys(r->err, -e, "%s: what a killed program left "
                              "cannot be written", r->img->top->path) : 0;
}

static int
apply_record(void *opaque, const struct journal_record *rec)
{
  struct replay *r = opaque;

  if (r->img->writable && r->img->commit.ndirty == DIRTY_MAX) {
    int e = make_room(r);
    if (e < 0)
      return e;
  }
  return rec->kind == JOURNAL_BAT ? apply_bat(r, rec) : apply_bits(r, rec);
}

int
replay_journal(struct vhd_image *img, const struct journal *journal,
               struct vhd_error *err)
{
  struct replay r = { .img = img, .err = err };
  uint32_t npartly;

  int e = look(img, &img->top->bat, journal, &npartly, err);
  if (e == 0 && bitmaps_reserve(&img->top->bitmaps, npartly + 1) < 0)
    e = vhd_fail_sys(err, ENOMEM, "%s", img->top->path);
  if (e == 0)
    e = journal_each(journal, apply_record, &r);
  return e == 0 ? recheck(&r) : e;
}
