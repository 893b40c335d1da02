/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_salvage_strays.c: blocks that lie in a damaged file and that no entry
 * of its table leads to.
 *
 * What space is left between the parts of the file is searched.  A block there
 * is known by a bitmap that is full, as most creators write it; or, on the grid
 * on which all other blocks lie, by one that is not empty.  Whose block it is
 * its place tells, where blocks lie in the file in the order of the disk: if
 * between two neighbours as many entries are lost as there are strays between
 * their places, they are those, in order.  Nothing else is guessed at. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "image/layout_reader.h"
#include "image/layout_salvage.h"

/* After how many sectors the progress is told of. */
#define TELL_EVERY (16U << 11)

struct search {
  struct reader *r;
  struct salvage *s;
  struct progress *progress;
  uint8_t *bitmap;
  uint32_t *stray; /* slots, ascending; owned */
  uint32_t n, room;
  bool other;      /* data that is no block */
  uint64_t looked; /* sectors, since the progress was told */
};

static int
add_stray(struct search *f, uint32_t slot)
{
  if (f->n == f->room) {
    const uint32_t room = f->room ? f->room * 2 : 64;
    uint32_t *more = realloc(f->stray, room * sizeof *more);
    if (!more)
      return vhd_fail_sys(f->r->err, ENOMEM, "%s", f->r->file->path);
    f->stray = more;
    f->room = room;
  }
  f->stray[f->n++] = slot;
  return 0;
}

bool
salvage_is_full(const uint8_t *bitmap, size_t len, uint32_t spb)
{
  const size_t used = spb / 8;

  return bytes_all(bitmap, used, 0xff) &&
         (bytes_all(bitmap + used, len - used, 0) ||
          bytes_all(bitmap + used, len - used, 0xff));
}

static bool
on_grid(const struct layout *l, uint64_t sec)
{
  const struct slots *s = &l->slots;

  return s->grid && s->n > 0 &&
         (sec >= s->origin ? sec - s->origin : s->origin - sec) %
             s->stride == 0;
}

/* Is there room for a block, or for as much as a cut file may have of one? */
static bool
is_room(const struct layout *l, uint64_t sec)
{
  const uint64_t end = l->footer_off / 512, whole = l->bitmap_sec + l->spb;
  uint64_t len = MIN(whole, end - sec);

  if (len < whole && l->end_footer)
    len = MIN(whole, layout_block_sectors(l, l->nblk - 1));
  return sec + len <= end && len > l->bitmap_sec &&
         layout_slot_over(l, sec * 512, len * 512) == NO_SLOT &&
         !layout_region_over(l, sec * 512, len * 512);
}

/* Where to look next behind a sector of zeros: holes have nothing in them. */
static uint64_t
next_sector(const struct search *f, uint64_t sec)
{
  const uint64_t data = file_next_data(f->r->file, (sec + 1) * 512);

  return data == UINT64_MAX ? UINT64_MAX : data / 512;
}

/* Looks at one sector of free space; *sec becomes the next. */
static int
look(struct search *f, uint64_t *sec)
{
  struct layout *l = f->r->l;
  const size_t len = l->bitmap_sec * 512U;

  if (file_read(f->r->file, f->bitmap, len, *sec * 512) < 0) {
    f->other = true; /* perhaps a block, and nobody can say */
    *sec += 1;
    return 0;
  }
  if (bytes_all(f->bitmap, len, 0)) {
    *sec = next_sector(f, *sec);
    return 0;
  }
  if (!salvage_is_full(f->bitmap, len, l->spb) && !on_grid(l, *sec)) {
    f->other = true;
    *sec += 1;
    return 0;
  }
  int e = add_stray(f, (uint32_t)*sec);
  *sec += l->bitmap_sec + l->spb;
  return e;
}

static int
search_file(struct search *f)
{
  struct layout *l = f->r->l;
  const uint64_t end = MIN(l->footer_off / 512, NO_SLOT);
  uint64_t sec = l->header.table_offset / 512;
  int e = 0;

  while (e == 0) {
    sec = layout_find_free(l, sec, l->bitmap_sec + 1);
    if (sec + l->bitmap_sec >= end)
      break;
    const uint64_t from = sec;
    if (is_room(l, sec))
      e = look(f, &sec);
    else
      sec++;
    f->looked += MIN(sec - from, TELL_EVERY);
    if (e == 0 && f->looked >= TELL_EVERY) {
      f->looked = 0;
      e = progress_add(f->progress, 0, f->r->err);
    }
  }
  return e;
}

/* ------------------------------------------------------------------ placing */

/* The first stray at or behind a sector. */
static uint32_t
first_behind(const struct search *f, uint64_t sec)
{
  uint32_t from = 0, to = f->n;

  while (from < to) {
    const uint32_t mid = from + (to - from) / 2;
    if (f->stray[mid] < sec)
      from = mid + 1;
    else
      to = mid;
  }
  return from;
}

/* The blocks (from, to) of the disk, whose neighbours lie at low and high. */
static uint32_t
place_between(struct search *f, uint32_t from, uint32_t to, uint64_t low,
              uint64_t high)
{
  struct salvage *s = f->s;
  const uint32_t first = first_behind(f, low);
  uint32_t nlost = 0, nth = first;

  for (uint32_t blk = from; blk < to; blk++)
    nlost += s->fate[blk] == FATE_LOST;
  if (nlost == 0 || low >= high || first_behind(f, high) - first != nlost)
    return 0;
  for (uint32_t blk = from; blk < to; blk++)
    if (s->fate[blk] == FATE_LOST) {
      s->fate[blk] = FATE_FOUND;
      bat_set(&s->layout.bat, blk, f->stray[nth++]);
    }
  return nlost;
}

static uint32_t
place_all(struct search *f)
{
  struct salvage *s = f->s;
  const struct layout *l = &s->layout;
  uint32_t from = 0, placed = 0;
  uint64_t low = 0;

  for (uint32_t blk = 0; blk < l->nblk; blk++)
    if (s->fate[blk] == FATE_PLACED) {
      const uint64_t slot = bat_slot(&l->bat, blk);
      placed += place_between(f, from, blk, low, slot);
      low = slot;
      from = blk + 1;
    }
  return placed + place_between(f, from, l->nblk, low, UINT64_MAX);
}

static void
tell(struct search *f, uint32_t placed)
{
  if (f->n > 0)
    reader_report(f->r, VHD_BROKEN, VHD_BAT_CORRUPT,
                  "%" PRIu32 " blocks lie in the file that no entry leads to "
                  "(the first at sector %" PRIu32 "); by their places, %"
                  PRIu32 " of them are ones whose entries are lost", f->n,
                  f->stray[0], placed);
  else if (f->other)
    reader_report(f->r, VHD_LEAKED, VHD_LEAK,
                  "there are data in space of the file that nothing refers "
                  "to");
}

int
salvage_strays(struct reader *r, struct salvage *s, struct progress *progress)
{
  struct search f = { .r = r, .s = s, .progress = progress };

  f.bitmap = malloc(r->l->bitmap_sec * 512U);
  int e = f.bitmap ? search_file(&f)
                   : vhd_fail_sys(r->err, ENOMEM, "%s", r->file->path);
  if (e == 0) {
    const uint32_t placed = place_all(&f);
    s->count[FATE_FOUND] += placed;
    s->count[FATE_LOST] -= placed;
    s->nstray = f.n;
    s->leftovers = f.n > 0 || f.other;
    tell(&f, placed);
  }
  free(f.bitmap);
  free(f.stray);
  return e;
}
