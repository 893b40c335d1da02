/* SPDX-License-Identifier: BSD-2-Clause */
/* apply.c: see apply.h. */
#include "config.h"

#include <string.h>

#include "base/bitmap.h"
#include "image/apply.h"
#include "image/image.h"

/* What is only read commits nothing. */
static void
note(struct vhd_image *img, uint32_t blk, uint32_t before, bool bitmap)
{
  if (img->writable)
    commit_note(img, blk, before, bitmap);
}

/* A block that gets a slot has none of its sectors there yet, in a child; else
 * all of them, for what nobody wrote is zeros there too. */
static void
apply_bat(struct vhd_image *img, uint32_t blk, uint32_t slot)
{
  struct layer *top = img->top;
  uint32_t before = layer_slot(top, blk);
  bool child = top->footer.type == VHD_DIFFERENCING;

  if (before != NO_SLOT) {
    struct bitmap *b = bitmaps_find(&top->bitmaps, blk);
    if (b)
      bitmaps_forget(&top->bitmaps, b);
  }
  note(img, blk, before, slot != NO_SLOT);
  layer_set_block(top, blk, slot,
                  slot == NO_SLOT ? BITS_UNKNOWN
                  : child ? BITS_NONE : BITS_ALL);
}

static void
apply_bits(struct vhd_image *img, uint32_t blk, uint32_t sec, uint32_t nsec)
{
  struct layer *top = img->top;
  struct bitmap *b = bitmaps_find(&top->bitmaps, blk);
  uint8_t *bits = bitmaps_bits(&top->bitmaps, b);
  uint32_t valid = layer_block_sectors(top, blk);
  enum summary s = BITS_MIXED;

  if (summary_of(top->state[blk]) == BITS_NONE)
    memset(bits, 0, top->bitmaps.bytes);
  bitmap_set(bits, sec, nsec);
  if (bitmap_test(bits, 0) && bitmap_run(bits, 0, valid) == valid) {
    s = BITS_ALL;
    bitmaps_forget(&top->bitmaps, b);
  } else {
    bitmaps_mark_dirty(&top->bitmaps, b);
  }
  note(img, blk, layer_slot(top, blk), true);
  layer_set_block(top, blk, layer_slot(top, blk), s);
}

void
apply_record(struct vhd_image *img, const struct journal_record *rec)
{
  if (rec->kind == JOURNAL_BAT)
    apply_bat(img, rec->blk, rec->b);
  else
    apply_bits(img, rec->blk, rec->a, rec->b);
}
