/* SPDX-License-Identifier: BSD-2-Clause */
/* shared.h: the layers of this process that nobody writes, by what makes two of
 * them the same; so that a thousand children of one parent read it once.
 *
 * The same file, as the store knows it, unchanged since (its stamp), opened by
 * the same path, in the same way.  A layer stands here as long as somebody
 * refers to it, and its file's lock is held as long.  Any thread. */
#ifndef IMAGE_SHARED_H
#define IMAGE_SHARED_H

#include "image/layer.h"

/* One like this, with a reference more, or NULL. */
struct layer *shared_find(const struct vhd_file *file,
                          const struct file_stamp *stamp,
                          const struct shared_key *key);
/* Adds the layer, which from then on is let go by shared_unref(); or returns
 * the one like it that is there already, with a reference more.  The layer's
 * stamp and key are set. */
struct layer *shared_add(struct layer *layer);
/* Lets go of a reference to an added layer.  True: it was the last; the caller
 * frees the layer, which nobody can find any more. */
bool shared_unref(struct layer *layer);

#endif
