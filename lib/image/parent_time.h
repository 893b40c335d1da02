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

/* How a child records that its parent was last changed then, in seconds since
 * 1970: what is too early or too late for it counts as its first or its last
 * second, since 0 means that nothing is recorded. */
uint32_t parent_time_record(int64_t changed);

/* Within one second, whether the parent was changed before or after its child
 * was made shows where one clock dates both files.  Where it does not, waits
 * until a later change has a second of its own.  `child` is the new file. */
void parent_time_outlast(const struct layer *parent, int child);

/* Unless it is as recorded, text gets a sentence. */
enum parent_time parent_time(const struct layer *child,
                             const struct layer *parent, char *text,
                             size_t size);

#endif
