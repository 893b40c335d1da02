/* SPDX-License-Identifier: BSD-2-Clause */
/* edit.h: images that nobody has open, whose metadata are changed where they
 * lie.  Owns the file, locked for writing; one thread an edit. */
#ifndef OPS_EDIT_H
#define OPS_EDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "image/layout.h"
#include "store/redo.h"
#include "vhdkit.h"

struct edit {
  struct vhd_image *image; /* that the file belongs to, or NULL */
  struct vhd_file *file;
  struct layout layout;
  int64_t changed; /* when the file was, before all that is done to it */
  bool dated;      /* that is known */
};

/* Opens an image, whether its parents are there or not.  What a killed program
 * left of it is written down first, for which they must be. */
int edit_open(struct edit *edit, const char *path,
              const struct vhd_open_options *opt, struct vhd_error *err);
/* The same for what a killed program left alone: opens and closes it. */
int edit_finish(const char *path, const struct vhd_open_options *opt,
                struct vhd_error *err);
/* Is there anything left of a change of the file, or one under way? */
bool edit_interrupted(const char *path);
/* Takes over an image that is open for writing, also on failure.  All of it is
 * durable, and what was done to it left the disk as it was: the file has the
 * time of before.  It is not to be read or written to any more. */
int edit_take(struct edit *edit, struct vhd_image *image,
              struct vhd_error *err);
void edit_close(struct edit *edit);

/* The disk holds what it did before, and so its children are to see no change:
 * once this change is made; at once, where it failed or is none. */
void edit_keep_time(const struct edit *edit, struct redo *redo);
void edit_restore_time(const struct edit *edit);

/* Both footers, of which the one at the end is to lie at off. */
int edit_add_footers(const struct edit *edit, struct redo *redo,
                     const struct footer *footer, uint64_t off);
int edit_add_header(const struct edit *edit, struct redo *redo,
                    const struct header *header);

#endif
