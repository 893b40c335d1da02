/* SPDX-License-Identifier: BSD-2-Clause */
/* journal_place.h: the folders in which journals lie, and whose.
 *
 * What lies there must go with the power and be nobody else's to change: a
 * folder of our own on a file system in memory.  Blocks; any thread. */
#ifndef STORE_JOURNAL_PLACE_H
#define STORE_JOURNAL_PLACE_H

#include <stdbool.h>
#include <sys/vfs.h>

#include "store/file.h"

/* The i-th place of our own, best first; the caller's to free.  "" for one that
 * does not apply; NULL: no memory. */
#define JOURNAL_OWN_PLACES 4
char *journal_place(unsigned i);

/* Could a journal be made there?  Makes the folder where it is missing. */
bool journal_place_usable(const char *dir);
/* Is this folder, by descriptor, ours alone and in memory? */
bool journal_place_ours(int folder);

/* May the image have a journal, where its file lies?  1, and fs is filled in; 0
 * or -errno. */
int journal_suits(const struct vhd_file *file, struct statfs *fs);

/* Calls back for each folder, of ours and of other users, in which a journal
 * may lie, until it returns not 0.  -errno: which these are cannot be told. */
int journal_places_each(int (*each)(void *opaque, const char *dir),
                        void *opaque);

#endif
