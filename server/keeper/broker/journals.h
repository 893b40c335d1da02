/* SPDX-License-Identifier: BSD-2-Clause */
/* journals.h: the folders in which the library keeps journals, and what a
 * helper does there for the worker: to read, make, rename and remove journals,
 * which their names tell.  The folder comes as a descriptor; which one it is
 * counts, not how it was reached.
 *
 * The helper's only thread. */
#ifndef SERVER_KEEPER_BROKER_JOURNALS_H
#define SERVER_KEEPER_BROKER_JOURNALS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define JOURNALS_PLACES 64 /* that are remembered; more are looked for again */

struct journals {
  bool any; /* nothing is confined: every folder will do */
  struct {
    dev_t dev;
    ino_t ino;
  } place[JOURNALS_PLACES];
  size_t n;
};

/* Do users have folders for journals in that one?  The library lists it. */
bool journals_lie_below(const char *folder);

/* A descriptor or 0; -errno.  folder: the worker's, or -1. */
int journals_read(struct journals *journals, int folder, const char *name);
int journals_make(struct journals *journals, int folder, const char *name);
int journals_unlink(struct journals *journals, int folder, const char *name);
int journals_rename(struct journals *journals, int folder, const char *from,
                    const char *to);
/* Makes a folder that is to hold journals. */
int journals_make_place(const char *path);

#endif
