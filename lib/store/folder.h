/* SPDX-License-Identifier: BSD-2-Clause */
/* folder.h: the files of a folder.  Blocks; any thread. */
#ifndef STORE_FOLDER_H
#define STORE_FOLDER_H

/* Can it be read?  0, or -errno; -ENOTDIR: it is none. */
int folder_look(const char *folder);

/* Calls each with the path of each regular file in the folder, until it returns
 * not 0; no more than `limit` names are looked at.  What each returned, 0, or
 * -errno. */
int folder_each(const char *folder, unsigned limit,
                int (*each)(void *opaque, const char *path), void *opaque);

/* The same of the folders in it, links to some left out. */
int folder_each_folder(const char *folder,
                       int (*each)(void *opaque, const char *path),
                       void *opaque);

/* The folder that holds path, malloc()ed; NULL: no memory. */
char *folder_of(const char *path);
/* What path is called there: its last part. */
const char *folder_last_name(const char *path);

#endif
