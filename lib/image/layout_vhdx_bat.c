/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_vhdx_bat.c: the block allocation table of a VHDX file.
 *
 * After the entries of each chunk's blocks comes one for the chunk's bitmaps.
 * What must hold, and is relied upon above:
 *   1. every block and every chunk of bitmaps that is there lies in the file;
 *   2. nothing of the file is two things: blocks, bitmaps, regions, log,
 *      headers;
 *   3. a block that is there in part is a child's, and has a bitmap.
 *
 * A table takes 5 bytes of memory for each block that it has anything of, 320
 * MiB for the largest disk of the smallest blocks, full; and next to nothing
 * where it is empty. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/table.h"
#include "image/layout_vhdx_reader.h"

/* Entries that are read at a time. */
#define PIECE 8192U

struct table {
  struct vhdx_reader *v;
  uint64_t nentry;
  uint64_t nzero, npartial; /* blocks */
  uint32_t nbad;            /* told of, or more of which nobody is told */
};

/* ------------------------------------------------------------------ entries */

/* A table can be wrong millions of times; this many are told one by one. */
#define TOLD_MAX 100

#define REPORT(t, ...)                                                  \
  ((t)->nbad++ >= TOLD_MAX                                              \
     ? 0 : reader_report(&(t)->v->r, VHD_BROKEN, VHD_BAT_CORRUPT, __VA_ARGS__))

/* Bytes of the file that the block needs. */
static uint64_t
block_bytes(const struct vhdx_reader *v, uint32_t blk)
{
  const uint64_t bs = v->x->block_size;

  return MIN(bs, v->r.l->disk_size - blk * bs);
}

static bool
lies_in_file(const struct vhdx_reader *v, uint64_t place, uint64_t len)
{
  return place < NO_SLOT &&
         range_fits(place * VHDX_UNIT, len, v->r.l->file_size);
}

static int
take_data(struct table *t, uint32_t blk, uint64_t entry)
{
  struct vhdx_reader *v = t->v;
  const bool partial = vhdx_entry_state(entry) == VHDX_PARTIAL;
  const uint64_t place = vhdx_entry_place(entry);

  if (partial && v->x->type != VHD_DIFFERENCING)
    return REPORT(t, "block %" PRIu32 " is there in part, in a disk without "
                  "a parent", blk);
  if (!lies_in_file(v, place, block_bytes(v, blk)))
    return REPORT(t, "block %" PRIu32 " should lie at %" PRIu64 " MiB, beyond "
                  "the end of the file at %" PRIu64, blk, place,
                  v->r.l->file_size);
  bat_set(&v->r.l->bat, blk, (uint32_t)place);
  v->x->state[blk] = partial ? BITS_UNKNOWN : BITS_ALL;
  v->r.l->nallocated++;
  t->npartial += partial;
  return 0;
}

static int
take_block(struct table *t, uint32_t blk, uint64_t entry)
{
  struct layout_vhdx *x = t->v->x;

  switch (vhdx_entry_state(entry)) {
  case VHDX_NOT_PRESENT:
    return 0;
  case VHDX_UNDEFINED:
  case VHDX_ZERO:
  case VHDX_UNMAPPED:
    /* Of a disk without a parent all that is not there is zeros. */
    if (x->type == VHD_DIFFERENCING) {
      x->state[blk] = BITS_NONE | BLOCK_ZERO;
      t->nzero++;
    }
    return 0;
  case VHDX_FULL:
  case VHDX_PARTIAL:
    return take_data(t, blk, entry);
  default:
    return REPORT(t, "block %" PRIu32 " is in state %u, which means nothing",
                  blk, vhdx_entry_state(entry));
  }
}

/* qemu has written nonsense here, in disks without a parent. */
static int
take_bitmaps(struct table *t, uint32_t chunk, uint64_t entry)
{
  struct vhdx_reader *v = t->v;
  const uint64_t place = vhdx_entry_place(entry);

  if (v->x->type != VHD_DIFFERENCING ||
      vhdx_entry_state(entry) == VHDX_NOT_PRESENT)
    return 0;
  if (vhdx_entry_state(entry) != VHDX_FULL)
    return REPORT(t, "the bitmaps of chunk %" PRIu32 " are in state %u, which "
                  "means nothing", chunk, vhdx_entry_state(entry));
  if (!lies_in_file(v, place, VHDX_UNIT))
    return REPORT(t, "the bitmaps of chunk %" PRIu32 " should lie at %" PRIu64
                  " MiB, beyond the end of the file at %" PRIu64, chunk, place,
                  v->r.l->file_size);
  v->x->chunk[chunk] = (uint32_t)place;
  return vhdx_add_extent(v, place * VHDX_UNIT, VHDX_UNIT, "bitmaps");
}

static int
take_entry(struct table *t, uint64_t i, uint64_t entry)
{
  const uint64_t blocks = t->v->x->chunk_blocks;
  const uint64_t chunk = i / (blocks + 1), in = i % (blocks + 1);

  if (in == blocks)
    return take_bitmaps(t, (uint32_t)chunk, entry);
  if (chunk * blocks + in >= t->v->r.l->nblk)
    return 0; /* of the last chunk, past the end of the disk */
  return take_block(t, (uint32_t)(chunk * blocks + in), entry);
}

/* ----------------------------------------------------------------- reading */

static int
make_table(struct table *t)
{
  struct layout_vhdx *x = t->v->x;
  struct layout *l = t->v->r.l;

  int e = bat_alloc(&l->bat, l->nblk);
  x->state = table_zeroed(l->nblk, sizeof *x->state);
  x->chunk = x->type == VHD_DIFFERENCING
               ? malloc(x->nchunk * sizeof *x->chunk) : NULL;
  if (e < 0 || !x->state || (x->type == VHD_DIFFERENCING && !x->chunk))
    return vhd_fail_sys(t->v->r.err, ENOMEM, "%s", l->path);
  for (uint32_t i = 0; x->chunk && i < x->nchunk; i++)
    x->chunk[i] = NO_SLOT;
  return 0;
}

/* Where the next entry may lie that is not 0: a table of 512 MiB can be one
 * hole. */
static uint64_t
skip_holes(struct table *t, uint64_t i)
{
  const uint64_t off = t->v->bat.off;
  const uint64_t data = file_next_data(t->v->r.file, off + i * VHDX_ENTRY_SIZE);

  return data == UINT64_MAX ? t->nentry : (data - off) / VHDX_ENTRY_SIZE;
}

static int
read_entries(struct table *t)
{
  CLEANUP_FREE struct le64 *raw = malloc(PIECE * sizeof *raw);
  int e = raw ? 0 : vhd_fail_sys(t->v->r.err, ENOMEM, "%s", t->v->r.l->path);
  uint64_t i = 0;

  while (e == 0 && (i = skip_holes(t, i)) < t->nentry) {
    const uint32_t n = (uint32_t)MIN(t->nentry - i, PIECE);
    e = file_read(t->v->r.file, raw, n * sizeof *raw,
                  t->v->bat.off + i * sizeof *raw);
    if (e < 0)
      return vhd_fail_sys(t->v->r.err, -e, "%s: cannot read the block "
                          "allocation table", t->v->r.l->path);
    if (!bytes_all(raw, n * sizeof *raw, 0))
      for (uint32_t j = 0; e == 0 && j < n; j++)
        if (le64_get(raw[j]) != 0)
          e = take_entry(t, i + j, le64_get(raw[j]));
    i += n;
  }
  return e;
}

/* Invariant 3. */
static int
check_partial(struct table *t)
{
  struct layout_vhdx *x = t->v->x;
  struct layout *l = t->v->r.l;
  int e = 0;

  for (uint32_t blk = 0; t->npartial > 0 && e == 0; blk++) {
    blk = bat_next(&l->bat, blk, l->nblk);
    if (blk == l->nblk)
      break;
    if (x->state[blk] == BITS_UNKNOWN &&
        x->chunk[blk / x->chunk_blocks] == NO_SLOT)
      e = REPORT(t, "block %" PRIu32 " is there in part, but its bitmap is not",
                 blk);
  }
  return e;
}

/* From now on they have a slot, so that nobody passes over them. */
static void
mark_zeros(struct table *t)
{
  struct layout *l = t->v->r.l;

  for (uint32_t blk = 0; t->nzero > 0 && blk < l->nblk; blk++)
    if (t->v->x->state[blk] & BLOCK_ZERO) {
      bat_set(&l->bat, blk, 0);
      t->nzero--;
    }
}

/* ----------------------------------------------------------------- overlap */

/* The block whose slot this is; only for messages. */
static uint32_t
block_at(const struct layout *l, uint32_t slot, uint32_t from)
{
  uint32_t blk = bat_next(&l->bat, from, l->nblk);

  while (blk < l->nblk && bat_slot(&l->bat, blk) != slot)
    blk = bat_next(&l->bat, blk + 1, l->nblk);
  return blk;
}

/* Blocks on a grid do not overlap. */
static int
check_blocks(struct table *t)
{
  struct layout *l = t->v->r.l;
  const uint32_t *slot = l->slots.sorted;
  int e = 0;

  for (uint32_t i = 1; slot && e == 0 && i < l->slots.n; i++) {
    if (slot[i] - slot[i - 1] >= l->slots.len)
      continue;
    if (t->nbad >= TOLD_MAX) { /* to name one takes a walk over the table */
      t->nbad++;
      continue;
    }
    uint32_t blk = block_at(l, slot[i - 1], 0);
    e = REPORT(t, "blocks %" PRIu32 " and %" PRIu32 " overlap at %" PRIu32
               " MiB", blk,
               block_at(l, slot[i], slot[i] == slot[i - 1] ? blk + 1 : 0),
               slot[i]);
  }
  return e;
}

static int
compare_extents(const void *a, const void *b)
{
  const struct vhdx_extent *x = a, *y = b;

  return x->at < y->at ? -1 : x->at > y->at;
}

static int
check_extents(struct table *t)
{
  const struct slots *slots = &t->v->r.l->slots;
  struct vhdx_extent *all = t->v->extent;
  uint64_t end = 0;
  int e = 0;

  qsort(all, t->v->nextent, sizeof *all, compare_extents);
  for (size_t i = 0; e == 0 && i < t->v->nextent; i++) {
    const struct vhdx_extent *x = &all[i];
    if (x->at < end)
      e = REPORT(t, "the %s at %" PRIu64 " MiB overlap%s what lies before",
                 x->what, x->at, strcmp(x->what, "bitmaps") == 0 ? "" : "s");
    end = MAX(end, x->at + x->len);
    uint32_t slot =
      slots_next(slots, x->at < slots->len ? 0 : x->at - slots->len + 1);
    if (e == 0 && slot != NO_SLOT && slot < x->at + x->len)
      e = REPORT(t, "block %" PRIu32 " at %" PRIu32 " MiB lies over the %s",
                 t->nbad < TOLD_MAX ? block_at(t->v->r.l, slot, 0) : 0, slot,
                 x->what);
  }
  return e;
}

/* Invariant 2. */
static int
check_overlap(struct table *t)
{
  struct layout *l = t->v->r.l;

  if (slots_find(&l->slots, &l->bat, l->nblk, l->nallocated,
                 t->v->x->block_size / VHDX_UNIT,
                 MIN(DIV_ROUND_UP(l->file_size, VHDX_UNIT), NO_SLOT)) < 0)
    return vhd_fail_sys(t->v->r.err, ENOMEM, "%s", l->path);
  int e = check_blocks(t);
  return e < 0 ? e : check_extents(t);
}

/* --------------------------------------------------------------------- all */

static int
report_more(struct table *t)
{
  if (t->nbad <= TOLD_MAX)
    return 0;
  return reader_report(&t->v->r, VHD_BROKEN, VHD_BAT_CORRUPT,
                       "%" PRIu32 " more entries of the block allocation "
                       "table are wrong", t->nbad - TOLD_MAX);
}

int
layout_vhdx_read_bat(struct vhdx_reader *v)
{
  const struct layout_vhdx *x = v->x;
  struct table t = { .v = v };

  t.nentry = x->type == VHD_DIFFERENCING
               ? (uint64_t)x->nchunk * (x->chunk_blocks + 1)
               : v->r.l->nblk + (uint64_t)(v->r.l->nblk - 1) / x->chunk_blocks;
  if (t.nentry * VHDX_ENTRY_SIZE > v->bat.len)
    return vhd_fail(v->r.err, VHD_BAT_CORRUPT, EINVAL,
                    "%s: its block allocation table has %" PRIu32 " bytes, "
                    "too few for %" PRIu32 " blocks", v->r.l->path, v->bat.len,
                    v->r.l->nblk);
  int e = make_table(&t);
  if (e == 0)
    e = read_entries(&t);
  if (e == 0)
    e = check_partial(&t);
  if (e == 0)
    e = check_overlap(&t);
  if (e == 0)
    e = report_more(&t);
  mark_zeros(&t);
  return e;
}
