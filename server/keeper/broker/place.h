/* SPDX-License-Identifier: BSD-2-Clause */
/* place.h: where files lie, and what lies within which folder.
 *
 * A place is the canonical path of what is open.  The helper's only thread. */
#ifndef SERVER_KEEPER_BROKER_PLACE_H
#define SERVER_KEEPER_BROKER_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#define PLACE_OWN_NAME_SIZE 40

/* A name by which a descriptor of this process can be opened again. */
void place_own_name(int fd, char name[PLACE_OWN_NAME_SIZE]);
/* Into place[PATH_MAX].  0 or -errno; -EACCES: it has no path. */
int place_of(int fd, char *place);

/* Below a canonical folder, or that itself. */
bool place_is_within(const char *place, const char *folder);
/* The same for a folder as somebody named it, in the folder cwd ("": unknown):
 * the first n characters of path.  A canonical place that begins with it says
 * that it is canonical: nothing needs to be looked up, on a disk that may hang.
 * False: who knows. */
bool place_is_plainly_within(const char *cwd, const char *place,
                             const char *path, size_t n);
/* And this looks it up. */
bool place_is_within_named(const char *place, const char *path);

#endif
