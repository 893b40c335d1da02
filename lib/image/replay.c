/* SPDX-License-Identifier: BSD-2-Clause */
/* replay.c: see replay.h.
 *
 * The records go on from the last successful commit.  The file, as the page
 * cache has it, may hold any part of the commit that was under way.  So the BAT
 * entry of a block is one of the values that its records name; anything else
 * means that another program has changed the image since, and then nothing is
 * replayed. */
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
  uint8_t *seen; /* a bit a block: has a record; its entry was named by one */
  uint8_t *named;
  uint32_t *disk; /* the entries of the file */
  struct vhd_error *err;
};

static int
stale(struct replay *r, uint32_t blk)
{
  return vhd_fail(r->err, VHD_JOURNAL, EIO,
                  "%s: a killed server left changes of this image in memory, "
                  "but the image was changed since by another program (block %"
                  PRIu32 "); if those changes are not wanted, remove its "
                  "journal", r->img->top->path, blk);
}

/* Remembers what the file's entry is, for which a record must account. */
static void
note_entry(struct replay *r, uint32_t blk)
{
  if (bitmap_test(r->seen, blk))
    return;
  bitmap_set(r->seen, blk, 1);
  r->disk[blk] = r->img->top->bat[blk];
}

static int
replay_bat(struct replay *r, const struct journal_record *rec)
{
  struct vhd_image *img = r->img;
  uint32_t blk = rec->blk;

  note_entry(r, blk);
  if (r->disk[blk] == rec->a || r->disk[blk] == rec->b)
    bitmap_set(r->named, blk, 1);
  struct bitmap *b = bitmaps_find(&img->top->bitmaps, blk);
  if (b)
    bitmaps_forget(&img->top->bitmaps, b);
  bool child = img->top->footer.type == VHD_DIFFERENCING;
  layer_set_block(img->top, blk, rec->b,
                  rec->b == NO_SLOT ? BITS_UNKNOWN
                  : child ? BITS_NONE : BITS_ALL);
  commit_note(img, blk, r->disk[blk], rec->b != NO_SLOT);
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
    vhd_fail(r->err, VHD_JOURNAL, EIO, "%s: its journal is damaged",
             img->top->path);
    return NULL;
  }
  uint8_t *bits = bitmaps_bits(&img->top->bitmaps, b);
  memset(bits, summary_of(img->top->state[blk]) == BITS_ALL ? 0xff : 0,
         img->top->bitmaps.bytes);
  if (summary_of(img->top->state[blk]) != BITS_UNKNOWN)
    return b;
  int e = file_read(img->top->file, bits, img->top->bitmaps.bytes,
                    (uint64_t)img->top->bat[blk] * 512);
  if (e < 0) {
    vhd_fail_sys(r->err, -e, "%s: cannot read a bitmap", img->top->path);
    return NULL;
  }
  return b;
}

static int
replay_bits(struct replay *r, const struct journal_record *rec)
{
  struct vhd_image *img = r->img;
  uint32_t blk = rec->blk;
  uint32_t valid = layer_block_sectors(img->top, blk);

  if (rec->a >= valid || rec->b > valid - rec->a)
    return stale(r, blk);
  if (img->top->bat[blk] == NO_SLOT) { /* freed later, says a record to come */
    note_entry(r, blk);
    return 0;
  }
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
  layer_set_block(img->top, blk, img->top->bat[blk], s);
  commit_note(img, blk, img->top->bat[blk], true);
  return 0;
}

static int
replay_record(void *opaque, const struct journal_record *rec)
{
  struct replay *r = opaque;

  if (rec->blk >= r->img->top->nblk ||
      r->img->commit.ndirty == DIRTY_MAX ||
      r->img->top->bitmaps.ndirty > bitmaps_limit(&r->img->top->bitmaps))
    return vhd_fail(r->err, VHD_JOURNAL, EIO, "%s: its journal is damaged",
                    r->img->top->path);
  return rec->kind == JOURNAL_BAT ? replay_bat(r, rec) : replay_bits(r, rec);
}

int
replay_journal(struct vhd_image *img, const struct journal *journal,
               struct vhd_error *err)
{
  size_t bytes = DIV_ROUND_UP(img->top->nblk, 8);
  CLEANUP_FREE uint8_t *seen = calloc(bytes, 1);
  CLEANUP_FREE uint8_t *named = calloc(bytes, 1);
  CLEANUP_FREE uint32_t *disk = malloc((size_t)img->top->nblk * sizeof *disk);

  if (!seen || !named || !disk)
    return vhd_fail_sys(err, ENOMEM, "%s", img->top->path);
  struct replay r = { img, seen, named, disk, err };
  int e = journal_each(journal, replay_record, &r);
  if (e < 0)
    return e;
  for (uint32_t blk = 0; blk < img->top->nblk; blk++)
    if (bitmap_test(seen, blk) && !bitmap_test(named, blk))
      return stale(&r, blk);
  return 0;
}
