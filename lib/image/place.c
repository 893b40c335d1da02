/* SPDX-License-Identifier: BSD-2-Clause */
/* place.c: see place.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "image/place.h"
#include "image/request.h"

/* As much is read at once; and whether it is all zeros, and need not be
 * written, is asked of pieces. */
#define CHUNK (256U << 10)
#define PIECE (32U << 10)

int
place_settle(struct vhd_image *img)
{
  int e = vhd_flush(img);

  return e < 0 ? e : sync_reclaim(img);
}

/* ------------------------------------------------------------------ copying */

/* The pieces of buf that are not zeros are written; the place reads as zeros
 * already. */
static int
write_data(struct vhd_file *file, const uint8_t *buf, uint64_t len,
           uint64_t off)
{
  int e = 0;

  for (uint64_t at = 0, n; at < len && e == 0; at += n) {
    n = MIN(len - at, PIECE);
    if (!bytes_all(buf + at, n, 0))
      e = file_write(file, buf + at, n, off + at);
  }
  return e;
}

/* What of the old place is a hole stays one. */
static int
copy_data(struct vhd_file *file, uint8_t *buf, uint64_t from, uint64_t to,
          uint64_t len)
{
  int e = 0;

  for (uint64_t at = 0, n; at < len && e == 0; at += n) {
    uint64_t data = file_next_data(file, from + at);
    if (data >= from + len)
      return 0;
    at = MAX(at, data - from);
    n = MIN(len - at, CHUNK);
    e = file_read(file, buf, n, from + at);
    if (e == 0)
      e = write_data(file, buf, n, to + at);
  }
  return e;
}

/* A bitmap is written whole: a commit that writes to it later must not lack
 * space for it. */
static int
copy_bitmap(struct vhd_file *file, uint8_t *buf, uint64_t from, uint64_t to,
            uint64_t len)
{
  int e = 0;

  for (uint64_t at = 0, n; at < len && e == 0; at += n) {
    n = MIN(len - at, CHUNK);
    e = file_read(file, buf, n, from + at);
    if (e == 0)
      e = file_write(file, buf, n, to + at);
  }
  return e;
}

static int
copy_block(struct vhd_image *img, uint32_t blk, uint32_t from, uint32_t to)
{
  const struct layer *top = img->top;
  uint64_t bitmap = top->bitmap_sec * 512ULL;
  CLEANUP_FREE uint8_t *buf = malloc(CHUNK);

  if (!buf)
    return -ENOMEM;
  int e = file_do(top->file, VHD_IO_PUNCH, to * 512ULL,
                  img->space.slot_sec * 512ULL, 0);
  if (e == 0)
    e = copy_bitmap(top->file, buf, from * 512ULL, to * 512ULL, bitmap);
  if (e == 0)
    e = copy_data(top->file, buf, from * 512ULL + bitmap, to * 512ULL + bitmap,
                  layer_block_sectors(top, blk) * 512ULL);
  atomic_fetch_add(&img->write_seq, 1);
  return e;
}

/* ------------------------------------------------------------------ leading */

/* What it takes until the next commit. */
static const struct need a_change = {
  .n = { [BUDGET_DIRTY] = 1, [BUDGET_SLOTS] = 1 },
};

static int
make_room(struct vhd_image *img)
{
  enum budget_kind lacking;

  while (!commit_reserve(img, &a_change, &lacking)) {
    int e = place_settle(img);
    if (e < 0)
      return e;
  }
  budgets_release(&img->commit.budgets, &a_change);
  return 0;
}

int
place_move(struct vhd_image *img, uint32_t blk, uint32_t slot)
{
  struct layer *top = img->top;
  uint32_t before = layer_slot(top, blk);

  int e = make_room(img);
  if (e == 0)
    e = copy_block(img, blk, before, slot);
  if (e < 0)
    return e;
  pthread_mutex_lock(&top->lock);
  commit_note_moved(img, blk, before);
  layer_set_block(top, blk, slot, summary_of(top->state[blk]));
  space_retire(img, before);
  pthread_mutex_unlock(&top->lock);
  return 0;
}

static int
take_behind(struct vhd_image *img, uint64_t least, uint32_t *slot)
{
  struct taken_slot taken = { .slot = 0 };
  int e = 0;

  while (e == 0) {
    pthread_mutex_lock(&img->top->lock);
    bool got = space_take(img, &taken);
    pthread_mutex_unlock(&img->top->lock);
    if (got && taken.slot >= least)
      break;
    if (!got)
      e = sync_grow(img);
  }
  *slot = taken.slot;
  return e;
}

int
place_move_behind(struct vhd_image *img, uint32_t blk, uint64_t least)
{
  uint32_t slot;

  int e = take_behind(img, least, &slot);
  return e < 0 ? e : place_move(img, blk, slot);
}

int
place_drop(struct vhd_image *img, uint32_t blk)
{
  struct layer *top = img->top;
  uint32_t before = layer_slot(top, blk);

  int e = make_room(img);
  if (e < 0)
    return e;
  pthread_mutex_lock(&top->lock);
  struct bitmap *b = bitmaps_find(&top->bitmaps, blk);
  if (b)
    bitmaps_forget(&top->bitmaps, b);
  commit_note(img, blk, before, false);
  layer_set_block(top, blk, NO_SLOT, BITS_UNKNOWN);
  space_retire(img, before);
  pthread_mutex_unlock(&top->lock);
  return 0;
}

/* -------------------------------------------------------------- free places */

int
place_find_blocks(struct vhd_image *img, struct vhd_error *err)
{
  struct layer *top = img->top;

  bat_free(&top->layout.bat);
  int e = bat_copy(&top->layout.bat, &top->bat, top->bat.n);
  if (e < 0)
    return vhd_fail_sys(err, -e, "%s", top->path);
  space_forget_free(img);
  return layout_recheck(top->file, &top->layout, err);
}

bool
place_next_free(struct vhd_image *img, uint64_t *at, uint64_t *slot)
{
  const struct layer *top = img->top;
  const struct layout *l = &top->layout;
  uint64_t len = img->space.slot_sec, sec = *at, found;

  for (;; sec = found) {
    if (l->aligned)
      sec = layer_align_slot(top, sec);
    if (sec + len > l->footer_off / 512)
      return false;
    found = layout_find_free(l, sec, len);
    if (found == sec)
      break;
  }
  *slot = sec;
  *at = sec + len;
  return true;
}
