/* SPDX-License-Identifier: BSD-2-Clause */
/* roots.c: see roots.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "roots.h"

static char *
folder_of(const char *path)
{
  char *real = realpath(path, NULL);
  char *slash = real ? strrchr(real, '/') : NULL;

  if (slash)
    slash[slash == real] = '\0';
  return real;
}

bool
roots_find(struct roots *roots, const char *path, const char *base,
           const char *const *further, size_t nfurther)
{
  *roots = (struct roots){
    .path = calloc(nfurther + 2, sizeof *roots->path),
  };
  if (!roots->path)
    return false;
  roots->own = folder_of(path);
  roots->of_base = base ? folder_of(base) : NULL;
  if (roots->own)
    roots->path[roots->n++] = roots->own;
  if (roots->of_base)
    roots->path[roots->n++] = roots->of_base;
  for (size_t i = 0; i < nfurther; i++)
    roots->path[roots->n++] = further[i];
  return true;
}

void
roots_free(struct roots *roots)
{
  free(roots->own);
  free(roots->of_base);
  free(roots->path);
}
