/* SPDX-License-Identifier: BSD-2-Clause */
/* folder.c: see folder.h. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "folder.h"

/* In the order in which they are looked for. */
static const char *const suffixes[] = { ".vhd", ".VHD" };
#define SUFFIX_LEN 4

static bool
ends_in(const char *name, const char *suffix)
{
  const size_t n = strlen(name);

  return n > SUFFIX_LEN && strcmp(name + n - SUFFIX_LEN, suffix) == 0;
}

static char *
join(const char *folder, const char *name, const char *suffix)
{
  char *path;

  return asprintf(&path, "%s/%s%s", folder, name, suffix) < 0 ? NULL : path;
}

/* The path of what is there under that name; NULL: nothing.  What cannot be
 * looked at is there: whoever opens it is told why that does not go. */
static char *
find(const char *folder, const char *name)
{
  struct stat st;

  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
    char *path = join(folder, name, suffixes[i]);
    if (path && (lstat(path, &st) == 0 || errno != ENOENT))
      return path;
    free(path);
  }
  return NULL;
}

char *
folder_path(const char *folder, const char *name)
{
  char *path = find(folder, name);

  return path ? path : join(folder, name, suffixes[0]);
}

/* A name from a client becomes part of a path: nothing but a plain name may. */
static bool
plain(const char *name)
{
  return *name != '\0' && *name != '.' && strchr(name, '/') == NULL;
}

char *
folder_name(const char *folder, const char *asked)
{
  asked += *asked == '/';
  if (!plain(asked))
    return NULL;
  if (ends_in(asked, suffixes[0])) {
    char *path = find(folder, asked);
    if (!path)
      return strndup(asked, strlen(asked) - SUFFIX_LEN);
    free(path);
  }
  return strdup(asked);
}

/* ------------------------------------------------------------------ listing */

static int
is_image(const struct dirent *d)
{
  return d->d_name[0] != '.' && (ends_in(d->d_name, suffixes[0]) ||
                                 ends_in(d->d_name, suffixes[1]));
}

static int
by_name(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Of names that are there twice, in order, one stays. */
static void
drop_doubles(struct folder_list *list)
{
  size_t kept = 0;

  for (size_t i = 0; i < list->n; i++)
    if (kept > 0 && strcmp(list->name[i], list->name[kept - 1]) == 0)
      free(list->name[i]);
    else
      list->name[kept++] = list->name[i];
  list->n = kept;
}

static int
fill(struct folder_list *list, struct dirent **entry, size_t n)
{
  list->name = calloc(n + 1, sizeof *list->name);
  for (size_t i = 0; list->name && i < n; i++) {
    const char *file = entry[i]->d_name;
    list->name[i] = strndup(file, strlen(file) - SUFFIX_LEN);
    if (!list->name[i])
      break;
    list->n++;
  }
  if (list->name && list->n == n)
    return 0;
  folder_list_free(list);
  errno = ENOMEM;
  return -1;
}

int
folder_list(const char *folder, struct folder_list *list)
{
  struct dirent **entry;
  const int n = scandir(folder, &entry, is_image, NULL);

  *list = (struct folder_list){ NULL, 0 };
  if (n < 0)
    return -1;
  const int r = fill(list, entry, (size_t)n);
  for (int i = 0; i < n; i++)
    free(entry[i]);
  free(entry);
  if (r < 0)
    return -1;
  qsort(list->name, list->n, sizeof *list->name, by_name);
  drop_doubles(list);
  return 0;
}

void
folder_list_free(struct folder_list *list)
{
  for (size_t i = 0; i < list->n; i++)
    free(list->name[i]);
  free(list->name);
  *list = (struct folder_list){ NULL, 0 };
}
