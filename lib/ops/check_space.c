/* SPDX-License-Identifier: BSD-2-Clause */
/* check_space.c: space of the file that nothing refers to.
 *
 * Metadata and blocks are walked in the order in which they lie; what is
 * between them is a gap.  Small gaps are padding.  Of the others only what
 * takes space of the disk below counts as leaked: freed blocks are punched out
 * of the file, and the stretch that is held ready behind the last block was
 * never written to. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arith.h"
#include "ops/check.h"

/* Windows sets 64 KiB aside for one path; no alignment needs more. */
#define PADDING (64U << 10)

struct gaps {
  uint64_t leaked, spare; /* bytes */
  uint64_t nleaked, nspare;
  uint64_t largest_off, largest_len;
};

/* How much of the range holds data, as far as the file system can tell. */
static uint64_t
data_within(int fd, uint64_t off, uint64_t len)
{
  uint64_t end = off + len, data = 0;

  while (off < end) {
    off_t from = lseek(fd, (off_t)off, SEEK_DATA);
    if (from < 0)
      return errno == ENXIO ? data : data + (end - off);
    if ((uint64_t)from >= end)
      return data;
    off_t to = lseek(fd, from, SEEK_HOLE);
    if (to < 0 || (uint64_t)to > end)
      to = (off_t)end;
    data += (uint64_t)(to - from);
    off = (uint64_t)to;
  }
  return data;
}

static void
add_gap(struct checker *c, struct gaps *gaps, uint64_t off, uint64_t end)
{
  if (end <= off || end - off < PADDING)
    return;
  uint64_t data = end - off;
  if (c->file->fd >= 0)
    data = data_within(c->file->fd, off, end - off);
  /* What is left of a sector or a footer is not worth a word. */
  if (data < PADDING) {
    gaps->spare += end - off;
    gaps->nspare++;
    return;
  }
  gaps->leaked += data;
  gaps->nleaked++;
  if (end - off > gaps->largest_len) {
    gaps->largest_off = off;
    gaps->largest_len = end - off;
  }
}

static int
compare_regions(const void *a, const void *b)
{
  const struct region *x = a, *y = b;

  return x->off < y->off ? -1 : x->off > y->off;
}

void
check_space(struct checker *c)
{
  const struct layout *l = &c->layout;
  struct region region[LAYOUT_REGIONS];
  struct gaps gaps = { 0 };
  uint64_t end = 0, from = 0, to = 0; /* of a stretch of blocks: sectors */
  uint32_t at = 0;
  unsigned r = 0;

  for (unsigned i = 0; i < l->nregion; i++)
    region[i] = l->region[i];
  qsort(region, l->nregion, sizeof region[0], compare_regions);

  bool more = slots_stretch(&l->slots, &at, &from, &to);
  while (more || r < l->nregion) {
    uint64_t off = from * VHD_SECTOR_SIZE, stop = to * VHD_SECTOR_SIZE;
    if (!more || (r < l->nregion && region[r].off <= off)) {
      off = region[r].off;
      stop = off + region[r++].len;
    } else {
      more = slots_stretch(&l->slots, &at, &from, &to);
    }
    add_gap(c, &gaps, end, off);
    end = MAX(end, stop);
  }
  add_gap(c, &gaps, end, l->footer_off);

  if (gaps.nleaked > 0) {
    c->result->leaked += gaps.leaked;
    checker_report(c, VHD_LEAKED, VHD_LEAK,
                   "%" PRIu64 " bytes in %" PRIu64 " places belong to nothing; "
                   "the largest are %" PRIu64 " bytes at %" PRIu64,
                   gaps.leaked, gaps.nleaked, gaps.largest_len,
                   gaps.largest_off);
  }
  if (gaps.nspare > 0)
    checker_report(c, VHD_NOTE, VHD_LEAK,
                   "%" PRIu64 " bytes in %" PRIu64 " places are free for new "
                   "blocks and hold no data", gaps.spare, gaps.nspare);
}
