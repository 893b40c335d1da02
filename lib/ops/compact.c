/* SPDX-License-Identifier: BSD-2-Clause */
/* compact.c: vhd_compact(), an image in as short a file as may be.
 *
 *   drop    blocks without which the disk reads the same lose their places,
 *           and those of which nobody counts on the rest (.next_free)
 *   move    those that lie farthest back go to free places in front
 *   cut     the file ends behind the last of them
 *
 * A free place is one that nothing durable leads to when the moving begins; a
 * place that is left is not used again in the same run.  So where everything
 * goes is known at once: `cut` is the sector up to which there are as many free
 * places as there are blocks behind it.
 *
 * At each moment the file is a sound image with the same disk, but for what
 * nobody counts on, which is as it was or zeros: see image/place.h; and it ends
 * in a footer, since only vhd_close() moves its end.
 * So whoever is interrupted has lost nothing but time, and the next run goes on
 * where this one was.  One thread a call. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/arith.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/progress.h"
#include "image/place.h"
#include "ops/inplace.h"

/* So much is moved before the places that were left are given back. */
#define SETTLE_BYTES (256ULL << 20)

struct compaction {
  const struct vhd_compact_options *opt;
  struct vhd_image *image;
  struct layer *top;
  struct vhd_compact_result *result;
  struct progress progress;
  uint8_t *buf; /* INPLACE_CHUNK */
  struct vhd_error *err;
  uint64_t cut;  /* sector */
  uint64_t nmove;
};

static int
fail(struct compaction *c, int r)
{
  return r < 0 ? vhd_fail_sys(c->err, -r, "%s", c->top->path) : 0;
}

/* --------------------------------------------------------------------- drop */

/* The part of a range that begins at its beginning and is all free, or all not:
 * how long it is.  -errno: err is filled. */
static int
next_part(struct compaction *c, uint64_t off, uint64_t end, uint64_t *len,
          bool *is_free)
{
  uint64_t at = 0, n = 0;
  int r = c->opt->next_free == NULL
            ? 0
            : c->opt->next_free(c->opt->opaque, c->image, off, &at, &n,
                                c->err);

  if (r < 0)
    return r;
  /* What does not reach beyond off is none. */
  if (r > 0 && (at > UINT64_MAX - n || at + n <= off))
    r = 0;
  *is_free = r > 0 && at <= off;
  *len = (*is_free ? MIN(at + n, end) : r > 0 ? MIN(at, end) : end) - off;
  return 0;
}

/* 1 or 0, or -errno.  A block that reaches past the end of the disk may hold
 * what was there when the disk was larger. */
static int
can_drop(struct compaction *c, uint32_t blk)
{
  const struct layer *top = c->top;
  const uint64_t off = (uint64_t)blk << top->block_shift;
  const uint64_t len = layer_block_sectors(top, blk) * 512ULL;

  if (!range_fits(off, len, vhd_size(c->image)))
    return 0;
  for (uint64_t at = off, n; at < off + len; at += n) {
    bool is_free;
    int r = next_part(c, at, off + len, &n, &is_free);
    if (r < 0)
      return r;
    r = is_free ? inplace_hides_nothing(c->image, at, n, c->buf)
                : inplace_is_void(c->image, at, n, c->buf);
    if (r != 1)
      return fail(c, r);
  }
  return 1;
}

static int
drop_zeros(struct compaction *c)
{
  const struct layer *top = c->top;
  uint32_t blk = 0;
  int r = 0;

  for (; r == 0 && (blk = bat_next(&top->bat, blk, top->nblk)) < top->nblk;
       blk++) {
    r = can_drop(c, blk);
    if (r == 1) {
      r = fail(c, place_drop(c->image, blk));
      c->result->nblk_dropped += r == 0;
    }
    if (r == 0)
      r = progress_add(&c->progress, 1ULL << top->block_shift, c->err);
  }
  return r < 0 ? r : fail(c, place_settle(c->image));
}

/* --------------------------------------------------------------------- move */

/* Finds c->cut, and how many blocks lie behind it. */
static void
find_cut(struct compaction *c)
{
  const struct layout *l = &c->top->layout;
  uint64_t at = 0, place, nplace = 0;
  uint64_t behind = l->nallocated + l->nspare;
  uint32_t slot = slots_next(&l->slots, 0);
  bool more = place_next_free(c->image, &at, &place);

  c->cut = 0;
  while (nplace < behind) {
    if (more && place < slot) {
      nplace++;
      c->cut = place + c->image->space.slot_sec;
      more = place_next_free(c->image, &at, &place);
    } else {
      behind--;
      c->cut = (uint64_t)slot + c->image->space.slot_sec;
      slot = slots_next(&l->slots, (uint64_t)slot + 1);
    }
  }
  c->nmove = behind;
}

static int
move_block(struct compaction *c, uint32_t blk, uint64_t place)
{
  const uint64_t bytes = 1ULL << c->top->block_shift;
  int r = place_move(c->image, blk, (uint32_t)place);

  if (r == 0)
    c->result->nblk_moved++;
  if (r == 0 && c->result->nblk_moved % MAX(SETTLE_BYTES / bytes, 1) == 0)
    r = place_settle(c->image);
  r = fail(c, r);
  return r < 0 ? r : progress_add(&c->progress, bytes, c->err);
}

static int
move_down(struct compaction *c)
{
  const struct layer *top = c->top;
  uint64_t at = 0, place;
  int r = place_find_blocks(c->image, c->err);

  if (r < 0)
    return r;
  find_cut(c);
  c->progress.total += c->nmove << top->block_shift;
  for (uint32_t blk = 0;
       r == 0 && (blk = bat_next(&top->bat, blk, top->nblk)) < top->nblk;
       blk++) {
    if (layer_slot(top, blk) < c->cut)
      continue;
    if (!place_next_free(c->image, &at, &place) || place >= c->cut)
      break;
    r = move_block(c, blk, place);
  }
  return r;
}

/* --------------------------------------------------------------------- all */

static int
refuse_child(void *opaque, const char *child)
{
  struct compaction *c = opaque;

  return vhd_fail(c->err, VHD_STATE, EBUSY,
                  "%s: %s is a child of it, and would see what is dropped "
                  "vanish, which it may use; merge or remove it first, or "
                  "compact without what is free", c->top->path, child);
}

/* What an image does not use its child may. */
static int
prepare_free(struct compaction *c)
{
  uint64_t len;
  bool is_free;

  if (c->opt->next_free == NULL)
    return 0;
  int r = vhd_find_children(c->image, NULL, UINT_MAX, refuse_child, c);
  return r < 0 && r != -EBUSY ? fail(c, r)
         : r < 0              ? r
                              : next_part(c, 0, c->top->layout.file_size, &len,
                                          &is_free);
}

static int
compact(struct compaction *c)
{
  if (c->top->fixed)
    return vhd_fail(c->err, VHD_ARGUMENT, EINVAL,
                    "%s: a fixed image holds all of its disk, so there is "
                    "nothing to compact; convert it to a dynamic one",
                    c->top->path);
  c->progress.total = (uint64_t)c->top->nallocated << c->top->block_shift;
  c->buf = malloc(INPLACE_CHUNK);
  if (c->buf == NULL)
    return fail(c, -ENOMEM);
  int r = prepare_free(c);
  if (r == 0)
    r = drop_zeros(c);
  if (r == 0)
    r = move_down(c);
  free(c->buf);
  c->image->space.touched = true; /* its end is looked at, at last */
  return r == 0 ? progress_end(&c->progress, c->err) : r;
}

int
vhd_compact(const char *path, const struct vhd_compact_options *opt,
            struct vhd_compact_result *result, struct vhd_error *err)
{
  static const struct vhd_compact_options none;
  struct vhd_compact_result unused;
  struct inplace in;

  if (opt == NULL)
    opt = &none;
  if (result == NULL)
    result = &unused;
  *result = (struct vhd_compact_result){ 0 };
  int r = CHECK_ROOM(opt, path, err);
  if (r < 0)
    return r;
  struct compaction c = { .opt = opt, .result = result, .err = err };
  r = inplace_open(path, &opt->open, "compacted", &in, err);
  if (r < 0)
    return r;
  c.image = in.image;
  c.top = in.image->top;
  if (opt->next_free == NULL)
    inplace_keep_time(&in);
  result->file_size_before = c.top->layout.file_size;
  r = progress_begin(&c.progress, &opt->progress, path, 0, err);
  if (r == 0)
    r = compact(&c);
  r = inplace_close(&in, r, opt->next_free == NULL, err);
  result->file_size = in.file_size;
  return r;
}
