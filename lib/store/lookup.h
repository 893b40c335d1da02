/* SPDX-License-Identifier: BSD-2-Clause */
/* lookup.h: finding the local file that a stored name leads to, below allowed
 * folders.  Blocks; any thread; owns nothing. */
#ifndef STORE_LOOKUP_H
#define STORE_LOOKUP_H

#include "store/file.h"

/* The folders below which the parents of the image at path may lie: those that
 * are given, or, with none given, the image's own.  One that cannot be looked
 * at holds no parent, and stands in nobody's way.  Free with
 * lookup_roots_free() also on failure. */
int lookup_roots(const char *path, const char *const *folder, size_t n,
                 struct file_roots *roots, struct vhd_error *err);
void lookup_roots_free(struct file_roots *roots);

/* file_beside() for paths: the canonical path of a regular file, malloc()ed. */
int lookup_beside(const char *from, const char *name, unsigned nth,
                  const struct file_roots *roots, char **path,
                  struct vhd_error *err);

/* The canonical path of a file into real[PATH_MAX], and when its content was
 * changed, in seconds since 1970.  0 or -errno. */
int lookup_real(const char *path, char *real, int64_t *mtime);

/* The way from the folder of a file, which need not be there yet, to the one
 * whose canonical path is `to`: "./name" or "./../name".  0 or -errno. */
int lookup_way(const char *from, const char *to, char *out, size_t size);

#endif
