/* SPDX-License-Identifier: BSD-2-Clause */
/* apply.h: what a record of the journal does to the image in memory: the one
 * place where the mapping of blocks changes, for requests as they publish what
 * they have written, and for the replay of what a killed process left.
 *
 * Pure; the caller holds the lock of the image's top layer, or nobody else can
 * see the image yet. */
#ifndef IMAGE_APPLY_H
#define IMAGE_APPLY_H

#include "image/journal.h"

struct vhd_image;

/* The block has what the record says: in the table, in the cache of bitmaps
 * and, of an image that may be written, in the dirty set.
 *
 * The record is one for this image: its block is one of the disk's, its sectors
 * are the block's, and its slot overlaps no other block.  In a writable image
 * there is room for one more in the dirty set.
 *
 * JOURNAL_BAT: what a cached bitmap said of the block no longer counts, and
 * the bitmap goes, unless a commit still writes its twin.  The block that lost
 * its slot has no summary; one that got one has BITS_NONE in a child, else
 * BITS_ALL.
 *
 * JOURNAL_BITS: the block has a slot and not yet all of its sectors, and its
 * bitmap lies in the cache: as the disk and the records before have it or,
 * where the summary is BITS_NONE, with any content.  It becomes dirty, which
 * keeps it in the cache: of a writable image until a commit has written it, of
 * another for good.  One that says no more than "all" goes. */
void apply_record(struct vhd_image *img, const struct journal_record *rec);

#endif
