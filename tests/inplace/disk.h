/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.h: what a power cut may leave of a folder, by what a run did.
 *
 * Of each file it may leave any of what no sync covers yet, sector by sector
 * (tests/sim/simfile.h); of the names, any change that no sync of the folder
 * covers.  The time of a file is the old one or the new.  One thread. */
#ifndef INPLACE_DISK_H
#define INPLACE_DISK_H

#include "sim/simfile.h"
#include "world.h"

struct disk {
  struct simfile *file[STATE_FILES];
  const struct state *start;
  int nfile;
  int64_t mtime[STATE_FILES]; /* as is known at once; 0: of some moment */
  struct names names, durable;
  struct event pending[64]; /* of names; they own nothing */
  unsigned npending;
  struct simfile *left;     /* what is made again and again */
};

/* Begins as that; start outlives it. */
void disk_init(struct disk *d, const struct state *start);
void disk_free(struct disk *d);
/* The next thing that the run did. */
void disk_take(struct disk *d, const struct event *e);
/* All that it did is there; is that what the folder holds?  "" or what is
 * not. */
const char *disk_differs(const struct disk *d, const struct state *live);

/* How many ways there are worth trying, at most `most`; and one of those,
 * counted from 0. */
unsigned disk_ways(const struct disk *d, unsigned most);
void disk_cut(struct disk *d, unsigned way, unsigned ways, struct state *left);

#endif
