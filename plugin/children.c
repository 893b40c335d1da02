/* SPDX-License-Identifier: BSD-2-Clause */
/* children.c: see children.h. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "children.h"

char *
children_path(const char *folder, const char *image)
{
  if (!folder || !image)
    return NULL;
  const char *slash = strrchr(image, '/');
  const char *name = slash ? slash + 1 : image;
  char *path;
  return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* The folder is opened first: that it is missing, too, would else look as if
 * the name were. */
static int
look(const char *folder, const char *name)
{
  const int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  struct stat st;
  int r = 1;

  if (fd < 0)
    return -errno;
  if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    r = errno == ENOENT ? 0 : -errno;
  close(fd);
  return r;
}

int
children_find(const char *child)
{
  if (!child)
    return 0;
  const char *slash = strrchr(child, '/');
  char *folder = strndup(child, (size_t)(slash - child));
  const int r = folder ? look(folder, slash + 1) : -ENOMEM;
  free(folder);
  return r;
}

int
children_search(const char *folder)
{
  const int r = folder ? look(folder, ".") : 0;

  return r < 0 ? r : 0;
}
