/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_spare.c: the entries of the block table past the blocks of the disk.
 *
 * The size in effect bounds requests, and nothing else.  A table may be longer:
 * the size was taken from the geometry, or a tool made the disk smaller by
 * changing the size alone.  What such an entry leads to is somebody's, and its
 * space is kept; but an entry that cannot be a block is only told of, for what
 * others leave there is not known.
 *
 * A table may be very long and mostly a hole, or made to eat memory: it is read
 * in pieces, holes are skipped, and only what could be a block is kept.  Past
 * 2 TiB of disk nothing could be, for sectors are counted in 32 bits. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bounds.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "image/layout_reader.h"

#define PIECE (64U << 10)

struct spare {
  struct reader *r;
  uint32_t *slot;      /* those that could be blocks */
  uint32_t n, room;
  uint32_t max;        /* more do not fit into the file */
  uint32_t nwrong;     /* those that could not */
  uint32_t first_wrong, wrong_slot;
};

static void
note_wrong(struct spare *s, uint32_t nth, uint32_t n, uint32_t slot)
{
  if (s->nwrong == 0) {
    s->first_wrong = nth;
    s->wrong_slot = slot;
  }
  s->nwrong += n;
}

/* How long the block is nobody can say: that of a disk's end is short. */
static bool
could_be_block(const struct layout *l, uint32_t slot)
{
  uint64_t len = ((uint64_t)l->bitmap_sec + 1) * 512;

  return range_fits((uint64_t)slot * 512, len, l->footer_off) &&
         !layout_region_over(l, (uint64_t)slot * 512, len);
}

static int
keep_slot(struct spare *s, uint32_t slot)
{
  if (s->n == s->room) {
    uint32_t room = s->room ? s->room * 2 : 64;
    uint32_t *more = realloc(s->slot, room * sizeof *more);
    if (!more)
      return -ENOMEM;
    s->slot = more;
    s->room = room;
  }
  s->slot[s->n++] = slot;
  return 0;
}

/* The entries from nth on that lie in raw. */
static int
take_entries(struct spare *s, const struct be32 *raw, uint32_t nth, uint32_t n)
{
  int e = 0;

  for (uint32_t i = 0; i < n && e == 0 && s->n <= s->max; i++) {
    uint32_t slot = be32_get(raw[i]);
    if (slot == NO_SLOT)
      continue;
    if (could_be_block(s->r->l, slot))
      e = keep_slot(s, slot);
    else
      note_wrong(s, nth + i, 1, slot);
  }
  return e;
}

static int
read_entries(struct spare *s)
{
  const struct layout *l = s->r->l;
  CLEANUP_FREE struct be32 *raw = malloc(PIECE);
  uint64_t most = (1ULL << 32) / l->spb;
  uint32_t end = (uint32_t)MIN(l->header.max_table_entries, most);
  uint32_t nth = l->nblk;
  int e = raw ? 0 : -ENOMEM;

  while (e == 0 && nth < end && s->n <= s->max) {
    uint64_t off = l->header.table_offset + (uint64_t)nth * 4;
    uint64_t data = file_next_data(s->r->file, off);
    uint32_t left = end - nth;
    uint32_t hole = (uint32_t)MIN((data - off) / 4, left);
    if (hole > 0) { /* zeros */
      note_wrong(s, nth, hole, 0);
      nth += hole;
      continue;
    }
    uint32_t n = MIN(left, PIECE / 4);
    e = file_read(s->r->file, raw, (size_t)n * 4, off);
    if (e == 0)
      e = take_entries(s, raw, nth, n);
    nth += n;
  }
  if (l->header.max_table_entries > end)
    note_wrong(s, end, l->header.max_table_entries - end, NO_SLOT);
  return e;
}

/* They go behind the disk's own, so that all that the table holds is one
 * array. */
static int
append(struct spare *s)
{
  struct layout *l = s->r->l;
  struct bat all;

  int e = bat_copy(&all, &l->bat, l->nblk + s->n);
  if (e < 0)
    return e;
  for (uint32_t i = 0; i < s->n; i++)
    bat_set(&all, l->nblk + i, s->slot[i]);
  bat_free(&l->bat);
  l->bat = all;
  l->nspare = s->n;
  l->beyond = true;
  return layout_find_slots(l);
}

/* More blocks than the file can hold: which of them are real nobody can say, so
 * all that is there is kept as it is. */
static int
keep_all(struct spare *s)
{
  struct layout *l = s->r->l;

  l->beyond = true;
  l->region[l->nregion++] =
    (struct region){ 0, l->footer_off, LAYOUT_UNKNOWN };
  return reader_report(s->r, VHD_NOTE, VHD_BAT_CORRUPT,
                       "the block table has more entries past the end of the "
                       "disk than the file can hold blocks; all space of the "
                       "file is left alone");
}

static int
tell(struct spare *s)
{
  const struct layout *l = s->r->l;
  int e = 0;

  if (s->n > 0)
    e = reader_report(s->r, VHD_NOTE, VHD_SIZE,
                      "%" PRIu32 " blocks lie past the end of the disk at %"
                      PRIu64 "; they are kept", s->n, l->disk_size);
  if (e == 0 && s->nwrong > 0)
    e = reader_report(s->r, VHD_NOTE, VHD_BAT_CORRUPT,
                      "%" PRIu32 " entries of the block table past the end of "
                      "the disk cannot be blocks (the first is entry %" PRIu32
                      ", for sector %" PRIu32 "); they are left alone",
                      s->nwrong, s->first_wrong, s->wrong_slot);
  return e;
}

int
layout_read_spare(struct reader *r)
{
  struct layout *l = r->l;
  uint64_t places = l->footer_off / 512 / (l->bitmap_sec + 1);
  struct spare s = { .r = r };

  if (l->header.max_table_entries == l->nblk)
    return 0;
  s.max = (uint32_t)MIN(places, SPARE_MAX);
  int e = read_entries(&s);
  if (e == 0 && s.n > s.max) {
    REACHED(BOUND_SPARE);
    free(s.slot);
    return keep_all(&s);
  }
  if (e == 0 && s.n > 0)
    e = append(&s);
  free(s.slot);
  if (e < 0)
    return vhd_fail_sys(r->err, -e, "%s: cannot read the block allocation "
                        "table", l->path);
  return tell(&s);
}
