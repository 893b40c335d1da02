/* SPDX-License-Identifier: BSD-2-Clause */
/* check_bitmaps.c: every sector bitmap of an image.
 *
 *   - Xen's batmap may say of a block that it is full only if its bitmap is.
 *   - In a dynamic disk a sector that was never written reads as zeros; data
 *     under such a bit are seen by programs that ignore the bitmap (qemu).
 *   - Bits behind the last sector mean nothing; writers set all or none.
 *
 * What is found is summed up, with the first place: one finding a kind, however
 * many blocks there are. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "ops/check.h"

#define READ_SECTORS 128

/* How many blocks, and which was the first. */
struct tally {
  uint32_t n, first;
};

struct bitmap_check {
  struct checker *c;
  uint32_t blk;
  uint32_t nsec;     /* sectors of the block that belong to the disk */
  uint8_t *bits;
  uint8_t *data;
  struct tally hidden, garbage, untrue, unused;
};

static void
count(struct tally *tally, uint32_t blk)
{
  if (tally->n++ == 0)
    tally->first = blk;
}

static bool
is_uniform(const uint8_t *bits, uint32_t from, uint32_t end)
{
  return from >= end || bitmap_run(bits, from, end) == end - from;
}

/* Looks under the bits that are 0; sets *hidden if there is anything. */
static int
look_under(struct bitmap_check *b, bool *hidden)
{
  const struct layout *l = &b->c->layout;
  uint64_t data_off = ((uint64_t)bat_slot(&l->bat, b->blk) + l->bitmap_sec) *
                      VHD_SECTOR_SIZE;

  /* A sparse file can have more blocks than anybody could read. */
  if (file_next_data(b->c->file, data_off) >=
      data_off + (uint64_t)b->nsec * VHD_SECTOR_SIZE)
    return 0;
  for (uint32_t sec = 0; sec < b->nsec && !*hidden;) {
    uint32_t run = bitmap_run(b->bits, sec, b->nsec);
    if (bitmap_test(b->bits, sec)) {
      sec += run;
      continue;
    }
    uint32_t n = MIN(run, READ_SECTORS);
    size_t len = (size_t)n * VHD_SECTOR_SIZE;
    int r = file_read(b->c->file, b->data, len,
                      data_off + (uint64_t)sec * VHD_SECTOR_SIZE);
    if (r < 0)
      return r;
    *hidden = !bytes_all(b->data, len, 0);
    sec += n;
  }
  return 0;
}

static int
check_block(struct bitmap_check *b)
{
  const struct layout *l = &b->c->layout;
  bool hidden = false;
  size_t len = (size_t)l->bitmap_sec * VHD_SECTOR_SIZE;

  int r = 0;
  if (!check_journal_bits(b->c, b->blk, b->bits))
    r = file_read(b->c->file, b->bits, len,
                  (uint64_t)bat_slot(&l->bat, b->blk) * VHD_SECTOR_SIZE);
  if (r < 0)
    return r;
  b->nsec = layout_block_sectors(l, b->blk) - l->bitmap_sec;
  bool full = bitmap_test(b->bits, 0) && is_uniform(b->bits, 0, b->nsec);

  if (!is_uniform(b->bits, b->nsec, l->spb) ||
      !is_uniform(b->bits, l->spb, (uint32_t)len * 8))
    count(&b->garbage, b->blk);
  if (l->has_batmap && !full && bitmap_test(l->batmap_bits, b->blk))
    count(&b->untrue, b->blk);
  if (l->footer.type == VHD_DYNAMIC && !full)
    r = look_under(b, &hidden);
  if (hidden)
    count(&b->hidden, b->blk);
  return r;
}

static void
report(struct bitmap_check *b)
{
  struct checker *c = b->c;

  if (b->untrue.n > 0)
    layout_tell(&c->sink, VHD_BROKEN, VHD_BATMAP,
                "the batmap says of %" PRIu32 " blocks that they are full, "
                "and their bitmaps do not (the first is block %" PRIu32 ")",
                b->untrue.n, b->untrue.first);
  if (b->unused.n > 0)
    layout_tell(&c->sink, VHD_NOTE, VHD_BATMAP,
                "the batmap says of %" PRIu32 " blocks that they are full "
                "that are not in the file (the first is block %" PRIu32 ")",
                b->unused.n, b->unused.first);
  if (b->hidden.n > 0)
    layout_tell(&c->sink, VHD_NOTE, VHD_BITMAP_MISMATCH,
                "%" PRIu32 " blocks hold data in sectors that their "
                "bitmaps say were never written; these read as zeros here, "
                "and as data in programs that ignore the bitmap (the first "
                "is block %" PRIu32 ")", b->hidden.n, b->hidden.first);
  if (b->garbage.n > 0)
    layout_tell(&c->sink, VHD_NOTE, VHD_BITMAP_MISMATCH,
                "the bitmaps of %" PRIu32 " blocks have stray bits behind "
                "their last sector (the first is block %" PRIu32 ")",
                b->garbage.n, b->garbage.first);
}

int
check_bitmaps(struct checker *c, struct vhd_error *err)
{
  const struct layout *l = &c->layout;
  CLEANUP_FREE uint8_t *bits =
    malloc((size_t)l->bitmap_sec * VHD_SECTOR_SIZE);
  CLEANUP_FREE uint8_t *data = malloc(READ_SECTORS * VHD_SECTOR_SIZE);
  struct bitmap_check b = { .c = c, .bits = bits, .data = data };
  const uint64_t from = c->progress.done;

  if (bits == NULL || data == NULL)
    return vhd_fail_sys(err, ENOMEM, "%s", c->path);
  for (b.blk = 0; b.blk < l->nblk; b.blk++) {
    const uint64_t done = from + (uint64_t)b.blk * l->header.block_size;
    int r = progress_reach(&c->progress, done, err);
    if (r < 0)
      return r;
    if (bat_slot(&l->bat, b.blk) == NO_SLOT) {
      if (l->has_batmap && bitmap_test(l->batmap_bits, b.blk))
        count(&b.unused, b.blk);
      continue;
    }
    r = check_block(&b);
    if (r < 0)
      return vhd_fail_sys(err, -r, "%s: cannot read block %" PRIu32, c->path,
                          b.blk);
  }
  report(&b);
  return 0;
}
