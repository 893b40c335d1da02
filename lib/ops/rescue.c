/* SPDX-License-Identifier: BSD-2-Clause */
/* rescue.c: vhd_rescue(): what can be read of a damaged image, in a new file.
 *
 * What each block is worth layout_salvage() has said; here it is read, and so
 * it comes to what each sector is worth:
 *   - good: where the layout is sure, the block is where its entry says and
 *     nothing else is, its bitmap can be true, and the sector can be read; or
 *     there is no block, the table says so, and the file holds none that it
 *     could be;
 *   - doubtful: what is there, or should be, without that proof;
 *   - lost: what cannot be read, or lies nowhere.
 * A bitmap can be true unless it denies data that are there: sectors that it
 * says were never written hold something.  Where it denies all of them, it is
 * what was lost, and the data are taken.
 *
 * The source is only read.  One thread a call. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "image/layer.h"
#include "image/open.h"
#include "ops/remains.h"
#include "ops/target.h"
#include "ops/walk.h"
#include "store/local.h"

#define RESCUE_FLAGS \
  (VHD_RESCUE_FULL | VHD_RESCUE_OVERWRITE | VHD_RESCUE_PROVEN)
#define CHUNK_SECTORS (COPY_CHUNK / VHD_SECTOR_SIZE)
/* How much of what a parent holds is given up where its map cannot be read. */
#define PARENT_STEP (2U << 20)

struct rescue {
  const struct vhd_rescue_options *opt;
  struct remains m;
  struct vhd_image *parent; /* or NULL */
  bool parent_changed;
  struct target t;
  struct progress progress;
  struct vhd_rescue_result result;
  uint8_t *buf;             /* COPY_CHUNK */
  uint8_t *bitmap;          /* of the block at hand */
  uint8_t bad[CHUNK_SECTORS / 8]; /* sectors of buf that could not be read */
  uint32_t nuntrue;         /* blocks whose bitmaps cannot be true, or read */
  /* The stretch that has not been told of yet. */
  uint64_t off, len;
  enum vhd_rescued state;
  struct vhd_error *err;
};

/* ------------------------------------------------------------------ telling */

static int
tell_stretch(struct rescue *r)
{
  uint64_t *const sums[] = { &r->result.good, &r->result.doubtful,
                             &r->result.lost };

  if (r->len == 0)
    return 0;
  *sums[r->state] += r->len;
  int e = r->opt->state != NULL
            ? r->opt->state(r->opt->opaque, r->off, r->len, r->state) : 0;
  r->off += r->len;
  r->len = 0;
  return e == 0 ? 0 : vhd_fail(r->err, VHD_CANCELED, e < 0 ? -e : ECANCELED,
                               "%s: canceled", r->m.path);
}

/* What comes next of the disk. */
static int
mark(struct rescue *r, uint64_t len, enum vhd_rescued state)
{
  int e = state != r->state ? tell_stretch(r) : 0;

  r->state = state;
  r->len += len;
  return e < 0 ? e : progress_add(&r->progress, len, r->err);
}

static uint64_t
position(const struct rescue *r)
{
  return r->off + r->len;
}

static enum vhd_rescued
worst(enum vhd_rescued a, enum vhd_rescued b)
{
  return a > b ? a : b;
}

/* ------------------------------------------------------------------ reading */

/* Reads what can be read; sectors that cannot are zeros, and set in r->bad. */
static void
read_hard(struct rescue *r, uint32_t from, uint32_t nsec, uint64_t off)
{
  uint8_t *buf = r->buf + (size_t)from * VHD_SECTOR_SIZE;
  const size_t len = (size_t)nsec * VHD_SECTOR_SIZE;

  if (range_fits(off, len, r->m.s.layout.footer_off) &&
      file_read(r->m.file, buf, len, off) == 0)
    return;
  if (nsec == 1) {
    memset(buf, 0, len);
    bitmap_set(r->bad, from, 1);
    return;
  }
  read_hard(r, from, nsec / 2, off);
  read_hard(r, from + nsec / 2, nsec - nsec / 2,
            off + nsec / 2 * (uint64_t)VHD_SECTOR_SIZE);
}

static int
write_out(struct rescue *r, const uint8_t *buf, size_t len,
          enum vhd_rescued state)
{
  if (state == VHD_RESCUED_DOUBTFUL && r->opt->flags & VHD_RESCUE_PROVEN)
    return 0;
  return copy_data(&r->t.to, buf, len, position(r), r->err);
}

/* What is in r->buf, of which the bad sectors are lost. */
static int
put_chunk(struct rescue *r, uint32_t nsec, enum vhd_rescued state)
{
  int e = 0;

  for (uint32_t at = 0, n; e == 0 && at < nsec; at += n) {
    const bool bad = bitmap_test(r->bad, at);
    const uint8_t *buf = r->buf + (size_t)at * VHD_SECTOR_SIZE;
    n = bitmap_run(r->bad, at, nsec);
    if (!bad)
      e = write_out(r, buf, (size_t)n * VHD_SECTOR_SIZE, state);
    if (e == 0)
      e = mark(r, n * (uint64_t)VHD_SECTOR_SIZE,
               bad ? VHD_RESCUED_LOST : state);
  }
  return e;
}

/* A stretch of the file is the next of the disk. */
static int
put_file(struct rescue *r, uint64_t len, uint64_t off, enum vhd_rescued state)
{
  const uint64_t end = r->m.s.layout.footer_off;
  int e = 0;

  while (e == 0 && len > 0) {
    const uint64_t hole = off < end
                            ? MIN(file_next_data(r->m.file, off), end) - off
                            : 0;
    uint64_t n = MIN(round_down(hole, VHD_SECTOR_SIZE), len);
    if (n > 0) {
      e = mark(r, n, state);
    } else if (off >= end) {
      n = len;
      e = mark(r, n, VHD_RESCUED_LOST);
    } else {
      n = MIN(len, COPY_CHUNK);
      memset(r->bad, 0, sizeof r->bad);
      read_hard(r, 0, (uint32_t)(n / VHD_SECTOR_SIZE), off);
      e = put_chunk(r, (uint32_t)(n / VHD_SECTOR_SIZE), state);
    }
    off += n;
    len -= n;
  }
  return e;
}

/* ------------------------------------------------------------- from beneath */

/* A piece of the parent's, sector by sector where it must be. */
static int
put_piece(struct rescue *r, const struct piece *piece, enum vhd_rescued state)
{
  const size_t len = (size_t)piece->len;
  int e = 0;

  if (file_read(piece->file, r->buf, len, piece->file_off) == 0) {
    e = write_out(r, r->buf, len, state);
    return e < 0 ? e : mark(r, len, state);
  }
  for (size_t at = 0; e == 0 && at < len; at += VHD_SECTOR_SIZE) {
    const bool there = file_read(piece->file, r->buf, VHD_SECTOR_SIZE,
                                 piece->file_off + at) == 0;
    if (there)
      e = write_out(r, r->buf, VHD_SECTOR_SIZE, state);
    if (e == 0)
      e = mark(r, VHD_SECTOR_SIZE, there ? state : VHD_RESCUED_LOST);
  }
  return e;
}

/* What the disk has where the image itself holds nothing. */
static int
put_base(struct rescue *r, uint64_t len, enum vhd_rescued state)
{
  const uint64_t end = position(r) + len;
  struct piece piece;
  struct walk w;

  if (r->m.s.layout.footer.type != VHD_DIFFERENCING)
    return mark(r, len, state);
  if (r->parent == NULL)
    return mark(r, len, VHD_RESCUED_LOST);
  if (r->parent_changed)
    state = worst(state, VHD_RESCUED_DOUBTFUL);
  walk_begin(&w, r->parent, MAX(end, vhd_size(r->parent)));
  w.at = position(r);
  while (position(r) < end) {
    const uint64_t left = end - position(r);
    int e = walk_next(&w, MIN(COPY_CHUNK, left), &piece, NULL);
    if (e < 0) {
      w.at += MIN(left, PARENT_STEP);
      e = mark(r, MIN(left, PARENT_STEP), VHD_RESCUED_LOST);
    } else if (piece.file == NULL) {
      e = mark(r, MIN(piece.len, left), state);
    } else {
      e = put_piece(r, &piece, state);
    }
    if (e < 0)
      return e;
  }
  return 0;
}

/* ------------------------------------------------------------------- blocks */

/* Is there anything in a stretch of the file? */
static bool
has_data(struct rescue *r, uint64_t off, uint64_t len)
{
  const uint64_t end = MIN(off + len, r->m.s.layout.footer_off);

  while (off < end) {
    off = MAX(off, round_down(file_next_data(r->m.file, off),
                              VHD_SECTOR_SIZE));
    if (off >= end)
      break;
    const uint64_t n = MIN(end - off, COPY_CHUNK);
    memset(r->bad, 0, sizeof r->bad);
    read_hard(r, 0, (uint32_t)DIV_ROUND_UP(n, VHD_SECTOR_SIZE), off);
    if (!bytes_all(r->buf, n, 0))
      return true;
    off += n;
  }
  return false;
}

/* What a bitmap says, and whether that can be. */
enum claim { CLAIM_PLAIN, CLAIM_DENIES, CLAIM_NOTHING };

/* data: where the block's data lie; nsec of them. */
static enum claim
judge_bitmap(struct rescue *r, uint32_t nsec, uint64_t data)
{
  const bool child = r->m.s.layout.footer.type == VHD_DIFFERENCING;
  const bool none =
    !bitmap_test(r->bitmap, 0) && bitmap_run(r->bitmap, 0, nsec) == nsec;

  if (none && child)
    return CLAIM_NOTHING; /* why would the block be there? */
  for (uint32_t at = 0, n; at < nsec; at += n) {
    n = bitmap_run(r->bitmap, at, nsec);
    if (!bitmap_test(r->bitmap, at) &&
        has_data(r, data + at * 512ULL, n * 512ULL))
      return none ? CLAIM_NOTHING : CLAIM_DENIES;
  }
  return CLAIM_PLAIN;
}

/* A block whose bitmap is lost: its data where there are any. */
static int
put_unmapped(struct rescue *r, uint32_t nsec, uint64_t data)
{
  int e = 0;

  for (uint32_t at = 0, n; e == 0 && at < nsec; at += n) {
    n = r->m.s.layout.footer.type == VHD_DIFFERENCING
          ? 1 : MIN(nsec - at, CHUNK_SECTORS);
    if (has_data(r, data + at * 512ULL, n * 512ULL))
      e = put_file(r, n * 512ULL, data + at * 512ULL, VHD_RESCUED_DOUBTFUL);
    else
      e = put_base(r, n * 512ULL, VHD_RESCUED_DOUBTFUL);
  }
  return e;
}

static int
put_block(struct rescue *r, uint32_t blk, enum vhd_rescued state)
{
  const struct layout *l = &r->m.s.layout;
  const uint64_t slot = bat_slot(&l->bat, blk) * 512ULL;
  const uint64_t data = slot + l->bitmap_sec * 512ULL;
  const uint32_t nsec = layout_block_sectors(l, blk) - l->bitmap_sec;
  int e = 0;
  enum claim claim = CLAIM_NOTHING;

  if (file_read(r->m.file, r->bitmap, l->bitmap_sec * 512U, slot) == 0)
    claim = judge_bitmap(r, nsec, data);
  r->nuntrue += claim != CLAIM_PLAIN;
  if (claim == CLAIM_NOTHING)
    return put_unmapped(r, nsec, data);
  if (claim == CLAIM_DENIES)
    state = worst(state, VHD_RESCUED_DOUBTFUL);
  for (uint32_t at = 0, n; e == 0 && at < nsec; at += n) {
    n = bitmap_run(r->bitmap, at, nsec);
    if (bitmap_test(r->bitmap, at))
      e = put_file(r, n * 512ULL, data + at * 512ULL, state);
    else
      e = put_base(r, n * 512ULL, state);
  }
  return e;
}

/* Blocks from blk on of which the same is known. */
static uint32_t
same_fate(const struct salvage *s, uint32_t blk)
{
  uint32_t n = 1;

  while (blk + n < s->layout.nblk && s->fate[blk + n] == s->fate[blk])
    n++;
  return n;
}

static int
put_blocks(struct rescue *r)
{
  const struct salvage *s = &r->m.s;
  const struct layout *l = &s->layout;
  const uint64_t size = l->header.block_size;
  int e = 0;

  for (uint32_t blk = 0; e == 0 && blk < l->nblk;) {
    const enum fate fate = (enum fate)s->fate[blk];
    const bool doubt = !s->sure || fate == FATE_SHARED || fate == FATE_FOUND ||
                       (fate == FATE_UNUSED && s->leftovers);
    const enum vhd_rescued state =
      doubt ? VHD_RESCUED_DOUBTFUL : VHD_RESCUED_GOOD;
    if (bat_slot(&l->bat, blk) != NO_SLOT) {
      e = put_block(r, blk++, state);
      continue;
    }
    const uint32_t n = same_fate(s, blk);
    const uint64_t len = MIN((blk + n) * size, l->disk_size) - blk * size;
    e = fate == FATE_UNUSED ? put_base(r, len, state)
                            : mark(r, len, VHD_RESCUED_LOST);
    blk += n;
  }
  return e;
}

static void
tell_untrue(struct rescue *r)
{
  char text[160];

  if (r->nuntrue == 0)
    return;
  snprintf(text, sizeof text, "the bitmaps of %" PRIu32 " blocks cannot be "
           "read, or deny data that are there", r->nuntrue);
  remains_tell(&r->m, VHD_BROKEN, VHD_BITMAP_MISMATCH, text);
}

static int
put_all(struct rescue *r)
{
  const struct salvage *s = &r->m.s;
  const uint64_t size = s->layout.disk_size;
  int e;

  if (s->layout.footer.type == VHD_FIXED)
    e = put_file(r, size, 0,
                 s->sure ? VHD_RESCUED_GOOD : VHD_RESCUED_DOUBTFUL);
  else
    e = put_blocks(r);
  /* What the table has no room for. */
  if (e == 0 && position(r) < size)
    e = mark(r, size - position(r), VHD_RESCUED_LOST);
  tell_untrue(r);
  return e < 0 ? e : tell_stretch(r);
}

/* ------------------------------------------------------------------ parents */

/* Without its parent what the child does not hold is lost, and no more. */
static int
open_parent(struct rescue *r)
{
  const struct layout *l = &r->m.s.layout;
  struct vhd_open_options opt = r->opt->open;
  struct vhd_error why = { 0 };
  struct vhd_file *again;
  struct layer *child;

  if (l->footer.type != VHD_DIFFERENCING)
    return 0;
  if (r->m.s.header == VHD_PART_MISSING || r->m.s.header == VHD_PART_GUESSED) {
    remains_tell(&r->m, VHD_BROKEN, VHD_PARENT_MISSING,
                 "who its parent is is lost with the dynamic header");
    return 0;
  }
  opt.flags |= VHD_OPEN_READONLY;
  int e = local_open(r->m.path, LOCAL_UNLOCKED, &again, &why);
  if (e == 0)
    e = layer_of_child(again, l, &child, &why);
  if (e == 0) {
    layer_ref(child);
    e = image_open_parents(child, &opt, &r->parent, &why);
    for (unsigned i = 0; i < child->nwarning; i++) {
      remains_tell(&r->m, VHD_DOUBTFUL, VHD_PARENT_TIMESTAMP,
                   child->warning[i]);
      r->parent_changed = true;
    }
    layer_unref(child);
  }
  if (e == -ENOMEM)
    return vhd_fail_sys(r->err, ENOMEM, "%s", r->m.path);
  if (e < 0) {
    r->parent = NULL;
    remains_tell(&r->m, VHD_BROKEN, why.code, why.message);
  }
  return 0;
}

/* ------------------------------------------------------------------- public */

static int
prepare(struct rescue *r, const char *target)
{
  const struct vhd_rescue_options *opt = r->opt;
  const struct layout *l = &r->m.s.layout;
  const struct target_wish wish = {
    .type = opt->type,
    .block_size = opt->block_size,
    .flags = opt->flags & VHD_RESCUE_FULL ? VHD_CONVERT_FULL : 0,
  };

  int e = target_prepare(&r->t, target, &wish, l->disk_size, r->err);
  if (e < 0)
    return e;
  r->buf = malloc(COPY_CHUNK);
  r->bitmap = malloc(l->bitmap_sec * 512U + 1);
  if (r->buf == NULL || r->bitmap == NULL)
    return vhd_fail_sys(r->err, ENOMEM, "%s", target);
  e = target_open(&r->t, target, opt->flags & VHD_RESCUE_OVERWRITE, r->err);
  if (e == 0)
    e = target_refuse_file(&r->t, r->m.file, r->err);
  if (e == 0)
    e = target_refuse_image(&r->t, r->parent, r->err);
  r->progress.total = l->disk_size + target_work(&r->t);
  return e;
}

static int
rescue(struct rescue *r, const char *target)
{
  int e = open_parent(r);

  if (e == 0)
    e = prepare(r, target);
  if (e == 0)
    e = target_begin(&r->t, &r->progress, r->err);
  if (e == 0)
    e = put_all(r);
  if (e == 0)
    e = target_end(&r->t, r->err);
  if (e == 0)
    e = progress_end(&r->progress, r->err);
  return e < 0 ? e : target_commit(&r->t, r->err);
}

static void
clean_up(struct rescue *r)
{
  vhd_close(r->parent, NULL); /* it was only read */
  target_free(&r->t);
  remains_close(&r->m);
  free(r->buf);
  free(r->bitmap);
}

int
vhd_rescue(const char *path, const char *target,
           const struct vhd_rescue_options *opt,
           struct vhd_rescue_result *result, struct vhd_error *err)
{
  static const struct vhd_rescue_options defaults;
  struct rescue r = {
    .opt = opt != NULL ? opt : &defaults,
    .t = { .file = { .fd = -1, .dir = -1 } },
    .err = err,
  };

  opt = r.opt;
  r.m.path = path;
  r.m.found = opt->found;
  r.m.opaque = opt->opaque;
  int e = vhd_check_flags(opt->flags, RESCUE_FLAGS, path, err);
  if (e == 0)
    e = vhd_check_flags(opt->padding, 0, path, err);
  if (e == 0)
    e = CHECK_ROOM(opt, path, err);
  if (e == 0)
    e = progress_begin(&r.progress, &opt->progress, target, 0, err);
  if (e == 0)
    e = remains_open(&r.m, &opt->open, &r.progress, err);
  if (e == 0)
    e = rescue(&r, target);
  if (e == 0 && result != NULL) {
    r.result.size = r.m.s.layout.disk_size;
    *result = r.result;
  }
  clean_up(&r);
  return e;
}
