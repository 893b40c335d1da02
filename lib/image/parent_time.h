/* SPDX-License-Identifier: BSD-2-Clause */
/* parent_time.h: was a parent changed after its child was made?
 *
 * A child records in seconds when its parent's file was last changed; some
 * creators do not.  A later time of the file is no proof, since copying a file
 * may give it one, but nothing else would tell.  Any thread; asks the file
 * system. */
#ifndef IMAGE_PARENT_TIME_H
#define IMAGE_PARENT_TIME_H

#include <stddef.h>

#include "image/layer.h"

enum parent_time {
  PARENT_AS_RECORDED, /* or nothing is recorded */
  PARENT_OLDER,       /* put back, perhaps */
  PARENT_CHANGED,
};

/* Unless it is as recorded, text gets a sentence. */
enum parent_time parent_time(const struct layer *child,
                             const struct layer *parent, char *text,
                             size_t size);

#endif
