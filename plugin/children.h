/* SPDX-License-Identifier: BSD-2-Clause */
/* children.h: the folder of differencing children, for child=.
 *
 * A child that is merely out of sight (its file system is not mounted, or the
 * folder may not be searched) is none that is not there: it holds what has been
 * written, and the image in its place would show that as lost.  Blocks; any
 * thread; owns nothing. */
#ifndef PLUGIN_CHILDREN_H
#define PLUGIN_CHILDREN_H

/* Where an image's child lies, or would, malloc()ed: it is called as the image
 * is.  NULL where folder or image are, or without memory. */
char *children_path(const char *folder, const char *image);

/* Is that child there?  1, 0 (also for NULL), or -errno: nobody can tell. */
int children_find(const char *child);

/* Can children be looked for in that folder?  0 (also for NULL) or -errno. */
int children_search(const char *folder);

#endif
