/* SPDX-License-Identifier: BSD-2-Clause */
/* recover.h: finding what a killed process left of an image, judging it, and
 * the journal of the time to come.  Part of opening: blocks, one thread. */
#ifndef IMAGE_RECOVER_H
#define IMAGE_RECOVER_H

#include "image/image.h"

/* The journal for image_start(), or NULL where there is none.  It holds what a
 * former process left; of a writable image it is the one to go on with.  dir:
 * see vhd_open_options. */
int recover_journal(struct vhd_image *img, const char *dir,
                    struct journal **journal, struct vhd_error *err);
/* After image_start(): what was left has been taken over. */
void recover_end(struct vhd_image *img);

#endif
