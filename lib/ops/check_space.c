/* SPDX-License-Identifier: BSD-2-Clause */
/* check_space.c: space of the file that nothing refers to.
 *
 * Metadata and blocks are walked in the order in which they lie; what is
 * between them is a gap.  Small gaps are padding.  Of the others only what
 * takes space of the disk below counts as leaked: freed blocks are punched out
 * of the file, and the stretch that is held ready behind the last block was
 * never written to. */
#include "config.h"

#include <inttypes.h>

#include "base/arith.h"
#include "ops/check.h"
#include "store/extents.h"

/* Windows sets 64 KiB aside for one path; no alignment needs more. */
#define PADDING (64U << 10)

struct gaps {
  uint64_t leaked, spare; /* bytes */
  uint64_t nleaked, nspare;
  uint64_t largest, largest_off; /* of the leaked */
};

static void
add_gap(struct checker *c, struct gaps *gaps, uint64_t off, uint64_t end)
{
  if (end <= off || end - off < PADDING)
    return;
  uint64_t data = file_data_within(c->file, off, end - off);
  /* What is left of a sector or a footer is not worth a word. */
  if (data < PADDING) {
    gaps->spare += end - off;
    gaps->nspare++;
    return;
  }
  gaps->leaked += data;
  gaps->nleaked++;
  if (data > gaps->largest) {
    gaps->largest_off = off;
    gaps->largest = data;
  }
}

void
check_space(struct checker *c)
{
  const struct layout *l = &c->layout;
  struct gaps gaps = { 0 };
  struct layout_walk walk;
  uint64_t end = 0, off, stop;

  layout_walk_begin(&walk, l);
  while (layout_walk_next(&walk, &off, &stop)) {
    add_gap(c, &gaps, end, off);
    end = MAX(end, stop);
  }
  add_gap(c, &gaps, end, l->footer_off);

  if (gaps.nleaked > 0) {
    c->result->leaked += gaps.leaked;
    layout_tell(&c->sink, VHD_LEAKED, VHD_LEAK,
                "%" PRIu64 " bytes in %" PRIu64 " places belong to nothing; "
                "the largest are %" PRIu64 " bytes at %" PRIu64,
                gaps.leaked, gaps.nleaked, gaps.largest,
                gaps.largest_off);
  }
  if (gaps.nspare > 0)
    layout_tell(&c->sink, VHD_NOTE, VHD_LEAK,
                "%" PRIu64 " bytes in %" PRIu64 " places are free for new "
                "blocks and hold no data", gaps.spare, gaps.nspare);
}
