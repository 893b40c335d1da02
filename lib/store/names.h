/* SPDX-License-Identifier: BSD-2-Clause */
/* names.h: the names of files, given and taken away for good.  Blocks; any
 * thread. */
#ifndef STORE_NAMES_H
#define STORE_NAMES_H

#include <stdbool.h>

#include "store/file.h"
#include "vhdkit.h"

/* What is to be done to a name would not be done to what a symbolic link leads
 * to.  0, or -errno with err set. */
int names_refuse_link(const char *path, struct vhd_error *err);

/* Where a file lies: the path it was opened by, unless that ends in a symbolic
 * link.  To be freed; NULL: there is no memory. */
char *names_own(struct vhd_file *file);

/* Gives a regular file another name, which must be free, or that file's
 * already; durable.  1: it is new, 0: it was there. */
int names_add(const char *path, const char *name, struct vhd_error *err);

/* Takes a name away; durable. */
int names_remove(const char *path, struct vhd_error *err);

/* Do both names lead to one file? */
bool names_same(const char *a, const char *b);

#endif
