/* SPDX-License-Identifier: BSD-2-Clause */
/* companion.h: the companion of a local file: NAME.vhdkit-redo beside it, where
 * NAME is the file's own, links resolved.  So it is moved and copied together
 * with the file by whoever takes all that is called NAME*; of a file that got
 * another name alone, a note tells where it is (companion_note.h).
 *
 * Where none is, to find that out takes no more than to look at names.  Blocks;
 * any thread. */
#ifndef STORE_COMPANION_H
#define STORE_COMPANION_H

#include <stdbool.h>

#include "store/file.h"

/* See file_companion(): a descriptor or -errno.  image: of the file, which is
 * called `name`; path: PATH_MAX bytes, in which the companion is where that
 * name has it, and becomes where it is. */
int companion_open(int image, const char *name, char *path,
                   enum companion_mode mode, struct vhd_error *err);
/* See file_settle(). */
int companion_settle(int image, char *path, bool remove);

#endif
