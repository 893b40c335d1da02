/* SPDX-License-Identifier: BSD-2-Clause */
/* apply.h: what a record of the journal does to the image in memory: the one
 * place where the mapping of blocks changes, for requests as they publish what
 * they have written, and for the replay of what a killed process left.
 *
 * Pure; caller holds the image's lock. */
#ifndef IMAGE_APPLY_H
#define IMAGE_APPLY_H

#include "image/journal.h"

struct vhd_image;

/* The block has what the record says, in the table, in its bitmap and in the
 * dirty set, where there is room.  For JOURNAL_BITS the block has a slot, and
 * its bitmap lies in the cache; with any content, where its summary is
 * BITS_NONE. */
void apply_record(struct vhd_image *img, const struct journal_record *rec);

#endif
