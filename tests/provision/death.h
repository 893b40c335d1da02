/* SPDX-License-Identifier: BSD-2-Clause */
/* death.h: this program's own calls that change files or names in folders that
 * are watched; it can die at each, and a power cut can take along what no sync
 * of the folder covers.
 *
 * Of the names any subset of those changes is left, as a seed says.  The bytes
 * of files stay: that they are in time is shown by tests/inplace.  One
 * thread. */
#ifndef PROVISION_DEATH_H
#define PROVISION_DEATH_H

#include <stddef.h>

#define DEATH_STATUS 77

/* Folders to watch, each with one for its files beside it, on the same file
 * system, that nothing else uses.  For good. */
void death_watch(const char *folder, const char *beside);

/* From now on calls are counted; at the at-th, counted from 1, the process ends
 * with DEATH_STATUS before it is made.  0: it lives.  cut: 0 for a death of the
 * process alone; else a power cut, and by which seed. */
void death_begin(unsigned at, unsigned cut);
/* How many there were. */
unsigned death_end(void);

/* A folder's files, links and all, as they are; and back again. */
void death_copy(const char *from, const char *to);

#endif
