/* SPDX-License-Identifier: BSD-2-Clause */
/* place.h: leading the blocks of an image to other places of its file, for who
 * has the image to himself: no request is under way meanwhile.
 *
 * What a place holds is there before its block is led to it, in no particular
 * order; then vhd_flush() makes it durable, and after that the table that leads
 * there.  So at each moment the table on the disk leads to a place with the
 * block's bytes, the old one or the new.  The journal is empty all the while:
 * the content of the disk does not change, and there is nothing to be
 * replayed.
 *
 * A place that a block has left is as any other that one has left (space.h):
 * nobody's once the flush is done, and then given back.  Blocks (I/O). */
#ifndef IMAGE_PLACE_H
#define IMAGE_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"

/* Everything so far is durable, and no slot waits to be given back.  Before the
 * first block is placed, and when enough have been. */
int place_settle(struct vhd_image *img);

/* The block's bitmap and data are copied to another slot, which belongs to
 * nobody, and it is led there.  -errno: it is where it was. */
int place_move(struct vhd_image *img, uint32_t blk, uint32_t slot);
/* The same, to a slot at or behind sector `least`; the file grows for it.  Not
 * after place_find_blocks().  Free slots in front of that are nobody's until
 * the image is opened again. */
int place_move_behind(struct vhd_image *img, uint32_t blk, uint64_t least);
/* It loses its slot.  Nothing may be lost by it. */
int place_drop(struct vhd_image *img, uint32_t blk);

/* What the layout says of where things lie becomes what it is now; and what is
 * free is the caller's from here on: no request is to need a slot any more. */
int place_find_blocks(struct vhd_image *img, struct vhd_error *err);

/* Sectors of the file at which a whole slot has nothing else in it, from *at on
 * and below the footer, in ascending order: *slot.  Aligned as the image's
 * blocks are.  False: there is none.  After place_find_blocks(); what is moved
 * meanwhile is not seen. */
bool place_next_free(struct vhd_image *img, uint64_t *at, uint64_t *slot);

#endif
