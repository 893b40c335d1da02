/* SPDX-License-Identifier: BSD-2-Clause */
/* place.c: see place.h. */
#include "config.h"

#include "keeper/broker/place.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

void
place_own_name(int fd, char name[PLACE_OWN_NAME_SIZE])
{
  sprintf(name, "/proc/self/fd/%d", fd);
}

int
place_of(int fd, char *place)
{
  char own[PLACE_OWN_NAME_SIZE];

  place_own_name(fd, own);
  ssize_t n = readlink(own, place, PATH_MAX);
  if (n < 0 || n >= PATH_MAX)
    return n < 0 ? -errno : -ENAMETOOLONG;
  place[n] = '\0';
  return place[0] == '/' ? 0 : -EACCES;
}

/* Below a canonical folder, or that itself. */
bool
place_is_within(const char *place, const char *folder)
{
  size_t n = strlen(folder);

  return n == 1 || (strncmp(place, folder, n) == 0 &&
                    (place[n] == '/' || place[n] == '\0'));
}

/* The same for a folder as somebody named it: its first n characters.  A
 * canonical place that begins with it says that it is canonical: nothing needs
 * to be looked up, on a disk that may hang.  False: who knows. */
bool
place_is_plainly_within(const char *cwd, const char *place, const char *path,
                        size_t n)
{
  const size_t ncwd = strlen(cwd);

  if (n == 0 || path[0] != '/') {
    if (ncwd == 0 || !place_is_within(place, cwd))
      return false;
    place += ncwd;
    place += place[0] == '/';
    for (; n >= 2 && strncmp(path, "./", 2) == 0; n -= 2)
      path += 2;
  }
  while (n > 0 && path[n - 1] == '/')
    n--;
  return n == 0 || (strncmp(place, path, n) == 0 &&
                    (place[n] == '/' || place[n] == '\0'));
}

bool
place_is_within_named(const char *place, const char *path)
{
  char folder[PATH_MAX];

  return realpath(path, folder) != NULL && place_is_within(place, folder);
}
