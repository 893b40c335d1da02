/* SPDX-License-Identifier: BSD-2-Clause */
/* replay.h: taking over what a killed process left in an image's journal.
 * Part of opening: blocks, one thread. */
#ifndef IMAGE_REPLAY_H
#define IMAGE_REPLAY_H

#include "image/image.h"

/* Can the image get to where the journal's records lead?  Changes nothing, and
 * comes before the block table is made. */
int replay_check(struct vhd_image *img, const struct journal *journal,
                 struct vhd_error *err);

/* Brings the block table to the state that the journal's records tell of, with
 * everything dirty that the disk may lack, or written down already where it is
 * too much.  replay_check() has passed the journal; the image's table and
 * commit are set up, its space is not yet.  An image that is only read takes
 * what fits into REPLAY_BITMAPS_BYTES; more is an error, VHD_JOURNAL. */
int replay_journal(struct vhd_image *img, const struct journal *journal,
                   struct vhd_error *err);

/* Says that the journal and the image do not go together, and what to do. */
int replay_refuse(const struct vhd_image *img, struct vhd_error *err);

#endif
