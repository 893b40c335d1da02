/* SPDX-License-Identifier: BSD-2-Clause */
/* check_journal.c: what a killed process left in memory for an image counts as
 * part of it: everybody else who opens the image sees it.  So the check takes
 * the table and the bitmaps from an opened image where they say more than the
 * file. */
#include "config.h"

#include <string.h>

#include "base/bitmap.h"
#include "image/layer.h"
#include "ops/check.h"

/* Nothing has been read through the layer but what is being checked: what it
 * knows of bitmaps is from the journal. */
static bool
knows_block(struct layer *layer, uint32_t blk)
{
  return summary_of(layer->state[blk]) != BITS_UNKNOWN;
}

int
check_adopt_journal(struct checker *c, struct vhd_error *err)
{
  struct layout *l = &c->layout;
  struct layer *layer = c->layer;
  bool differs = false;

  if (layer == NULL || layer->bat.entry == NULL || layer->nblk != l->nblk)
    return 0;
  for (uint32_t blk = 0; blk < l->nblk; blk++) {
    uint32_t slot = layer_slot(layer, blk);
    differs |= slot != bat_slot(&l->bat, blk) || knows_block(layer, blk);
    bat_set(&l->bat, blk, slot);
  }
  if (!differs)
    return 0;
  layout_tell(&c->sink, VHD_NOTE, VHD_JOURNAL,
              "a program that was killed left its last changes in memory; "
              "they are part of what is checked, and go to the file when it "
              "is opened for writing next");
  return layout_recheck(c->file, l, err);
}

/* The layer's lock is held. */
static bool
get_bits(struct layer *layer, uint32_t blk, uint8_t *bits, size_t len)
{
  const struct bitmap *bitmap;

  switch (summary_of(layer->state[blk])) {
  case BITS_NONE:
    memset(bits, 0, len);
    return true;
  case BITS_ALL:
    memset(bits, 0xff, len);
    return true;
  case BITS_MIXED:
    bitmap = bitmaps_find(&layer->bitmaps, blk);
    if (bitmap == NULL)
      return false;
    memcpy(bits, bitmaps_bits(&layer->bitmaps, bitmap), len);
    return true;
  default:
    return false;
  }
}

bool
check_journal_bits(struct checker *c, uint32_t blk, uint8_t *bits)
{
  struct layer *layer = c->layer;

  if (layer == NULL || layer->bat.entry == NULL || blk >= layer->nblk)
    return false;
  pthread_mutex_lock(&layer->lock);
  bool known = get_bits(layer, blk, bits,
                        (size_t)c->layout.bitmap_sec * VHD_SECTOR_SIZE);
  pthread_mutex_unlock(&layer->lock);
  return known;
}
