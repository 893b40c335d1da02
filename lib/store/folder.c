/* SPDX-License-Identifier: BSD-2-Clause */
/* folder.c: see folder.h. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "store/folder.h"
#include "store/host.h"

static bool
is_regular(const struct dirent *entry, const char *path)
{
  struct stat st;

  if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK)
    return entry->d_type == DT_REG;
  return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* A folder itself; no link to one, which may lead back. */
static bool
is_folder(const struct dirent *entry, const char *path)
{
  struct stat st;

  if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
    return false;
  if (entry->d_type != DT_UNKNOWN)
    return entry->d_type == DT_DIR;
  return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int
each_name(const char *folder, unsigned limit,
          bool (*wanted)(const struct dirent *entry, const char *path),
          int (*each)(void *opaque, const char *path), void *opaque)
{
  DIR *dir = host_opendir(folder);
  const struct dirent *entry;
  int r = 0;

  if (dir == NULL)
    return -errno;
  while (r == 0 && limit > 0 && (entry = readdir(dir)) != NULL) {
    CLEANUP_FREE char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, entry->d_name) < 0) {
      path = NULL;
      r = -ENOMEM;
    } else if (wanted(entry, path)) {
      limit--;
      r = each(opaque, path);
    }
  }
  closedir(dir);
  return r;
}

int
folder_look(const char *folder)
{
  DIR *dir = host_opendir(folder);

  if (dir == NULL)
    return -errno;
  closedir(dir);
  return 0;
}

int
folder_each(const char *folder, unsigned limit,
            int (*each)(void *opaque, const char *path), void *opaque)
{
  return each_name(folder, limit, is_regular, each, opaque);
}

int
folder_each_folder(const char *folder,
                   int (*each)(void *opaque, const char *path), void *opaque)
{
  return each_name(folder, UINT_MAX, is_folder, each, opaque);
}

const char *
folder_last_name(const char *path)
{
  const char *slash = strrchr(path, '/');

  return slash ? slash + 1 : path;
}

char *
folder_of(const char *path)
{
  const char *slash = strrchr(path, '/');

  if (slash == NULL)
    return strdup(".");
  return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}
