/* SPDX-License-Identifier: BSD-2-Clause */
/* roots.h: the folders in which the parents of an image may lie.  Any
 * thread. */
#ifndef PLUGIN_ROOTS_H
#define PLUGIN_ROOTS_H

#include <stdbool.h>
#include <stddef.h>

struct roots {
  const char **path; /* for the options of vhd_open() and its like */
  size_t n;
  char *own, *of_base;
};

/* The folder of the image at path, that of `base` (NULL: none), and further
 * ones, which must live as long.  On false there is no memory, and nothing to
 * be freed. */
bool roots_find(struct roots *roots, const char *path, const char *base,
                const char *const *further, size_t nfurther);
void roots_free(struct roots *roots);

#endif
