/* SPDX-License-Identifier: BSD-2-Clause */
/* lookup.c: see lookup.h. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "store/folder.h"
#include "store/host.h"
#include "store/lookup.h"

/* -------------------------------------------------------------------- roots */

/* The canonical folder of a file, malloc()ed; NULL with errno. */
static char *
real_folder(const char *path)
{
  char *real = realpath(path, NULL);
  char *slash = real ? strrchr(real, '/') : NULL;

  if (slash)
    slash[slash == real] = '\0';
  return real;
}

int
lookup_roots(const char *path, const char *const *folder, size_t n,
             struct file_roots *roots, struct vhd_error *err)
{
  roots->n = 0;
  roots->path = calloc(n + 1, sizeof *roots->path);
  if (!roots->path)
    return vhd_fail_sys(err, ENOMEM, "%s", path);
  if (n == 0) {
    roots->path[0] = real_folder(path);
    if (!roots->path[0])
      return vhd_fail_sys(err, errno, "%s", path);
    roots->n = 1;
  }
  for (size_t i = 0; i < n; i++) {
    roots->path[roots->n] = realpath(folder[i], NULL);
    if (roots->path[roots->n])
      roots->n++;
    else if (errno == ENOMEM)
      return vhd_fail_sys(err, errno, "%s", folder[i]);
  }
  return 0;
}

void
lookup_roots_free(struct file_roots *roots)
{
  for (size_t i = 0; i < roots->n; i++)
    free(roots->path[i]);
  free(roots->path);
  *roots = (struct file_roots){ NULL, 0 };
}

static bool
below_root(const struct file_roots *roots, const char *path)
{
  for (size_t i = 0; i < roots->n; i++) {
    size_t n = strlen(roots->path[i]);
    if (n == 1 ||
        (strncmp(path, roots->path[i], n) == 0 && path[n] == '/'))
      return true;
  }
  return false;
}

/* -------------------------------------------------------------------- names */

/* No file can be there, however often somebody looks.  After any other error
 * nobody knows, and what lies elsewhere must not take its place. */
static bool
is_absence(int e)
{
  return e == ENOENT || e == ENOTDIR || e == ENAMETOOLONG || e == ELOOP;
}

/* The nth entry of a folder whose name is `name` but for upper and lower case;
 * NULL with errno.  In a folder that must not be listed, only the name to the
 * letter leads to a file. */
static char *
match_nocase(const char *folder, const char *name, unsigned nth)
{
  DIR *d = host_opendir(folder);
  const struct dirent *entry;
  char *found = NULL;

  if (!d) {
    errno = errno == EACCES || errno == EPERM ? ENOENT : errno;
    return NULL;
  }
  do {
    errno = 0;
    entry = readdir(d);
    if (entry && strcasecmp(entry->d_name, name) == 0 &&
        strcmp(entry->d_name, name) != 0 && nth-- == 0)
      found = strdup(entry->d_name);
  } while (entry && errno == 0 && !found);
  int e = errno != 0 ? errno : ENOENT;
  closedir(d);
  errno = e;
  return found;
}

/* Windows does not tell case apart; its paths may not match ours to the
 * letter.  Returns an existing canonical path, or NULL with errno. */
static char *
resolve(const char *path)
{
  char *real = realpath(path, NULL);
  if (real || errno != ENOENT)
    return real;

  CLEANUP_FREE char *copy = strdup(path);
  CLEANUP_FREE char *have = strdup(path[0] == '/' ? "/" : ".");
  char *rest = copy, *part;
  while (have && rest && (part = strsep(&rest, "/")) != NULL) {
    struct stat st;
    char *next;
    if (*part == '\0' || strcmp(part, ".") == 0)
      continue;
    if (asprintf(&next, "%s/%s", have, part) < 0)
      return NULL;
    if (lstat(next, &st) < 0) {
      CLEANUP_FREE char *other =
        errno == ENOENT ? match_nocase(have, part, 0) : NULL;
      free(next);
      if (!other || asprintf(&next, "%s/%s", have, other) < 0)
        return NULL;
    }
    free(have);
    have = next;
  }
  return have ? realpath(have, NULL) : NULL;
}

/* The nth file that may be meant, or NULL with errno: those behind the first
 * have another case in the last name, not in the folders'. */
static char *
resolve_nth(const char *path, unsigned nth)
{
  if (nth == 0)
    return resolve(path);

  CLEANUP_FREE char *dir = folder_of(path);
  CLEANUP_FREE char *folder = dir ? resolve(dir) : NULL;
  CLEANUP_FREE char *exact = NULL, *match = NULL, *other = NULL;
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  struct stat st;
  if (!folder || asprintf(&exact, "%s/%s", folder, name) < 0)
    return NULL;
  other = match_nocase(folder, name, lstat(exact, &st) < 0 ? nth : nth - 1);
  if (!other || asprintf(&match, "%s/%s", folder, other) < 0)
    return NULL;
  return realpath(match, NULL);
}

static int
not_found(const char *from, const char *name, int e, struct vhd_error *err)
{
  if (is_absence(e))
    return -ENOENT;
  return vhd_fail_sys(err, e, "%s: whether its parent is '%s' cannot be told",
                      from, name);
}

int
lookup_beside(const char *from, const char *name, unsigned nth,
              const struct file_roots *roots, char **path,
              struct vhd_error *err)
{
  CLEANUP_FREE char *joined = NULL, *real = NULL;
  CLEANUP_FREE char *folder = NULL;
  struct stat st;

  if (err)
    err->code = VHD_OK;
  if (name[0] != '/') {
    folder = real_folder(from);
    if (!folder)
      return vhd_fail_sys(err, errno, "%s", from);
    if (asprintf(&joined, "%s/%s", folder, name) < 0)
      return vhd_fail_sys(err, ENOMEM, "%s", from);
  }
  real = resolve_nth(joined ? joined : name, nth);
  if (!real)
    return not_found(from, name, errno, err);
  if (!below_root(roots, real))
    return vhd_fail(err, VHD_PARENT_DENIED, EACCES,
                    "%s: '%s' lies outside the allowed folders", from, real);
  if (stat(real, &st) < 0)
    return not_found(from, name, errno, err);
  if (!S_ISREG(st.st_mode))
    return -ENOENT;
  *path = STEAL(real);
  return 0;
}

/* ------------------------------------------------------------------ outward */

int
lookup_real(const char *path, char *real, int64_t *mtime)
{
  struct stat st;

  if (realpath(path, real) == NULL || stat(real, &st) < 0)
    return -errno;
  *mtime = st.st_mtime;
  return 0;
}

/* The way from a folder (without a final slash) to a file, both absolute and
 * real: "./name" or "./../name". */
static int
relative_path(const char *from, const char *to, char *out, size_t size)
{
  /* What they have in common, up to and without a slash. */
  size_t common = 0;
  for (size_t i = 0; from[i] == to[i] || from[i] == '\0'; i++) {
    if ((from[i] == '\0' || from[i] == '/') && to[i] == '/')
      common = i;
    if (from[i] == '\0' || to[i] == '\0')
      break;
  }

  size_t len = 0;
  int n = snprintf(out, size, "./");
  for (const char *p = from + common; n >= 0 && *p != '\0'; p++) {
    if (*p != '/')
      continue;
    len += (size_t)n;
    if (len >= size)
      return -ENAMETOOLONG;
    n = snprintf(out + len, size - len, "../");
  }
  len += (size_t)n;
  if (len >= size)
    return -ENAMETOOLONG;
  n = snprintf(out + len, size - len, "%s", to + common + 1);
  if ((size_t)n >= size - len)
    return -ENAMETOOLONG;
  return 0;
}

int
lookup_way(const char *from, const char *to, char *out, size_t size)
{
  CLEANUP_FREE char *dir = folder_of(from);
  CLEANUP_FREE char *folder = dir ? realpath(dir, NULL) : NULL;

  if (!folder)
    return -errno;
  if (strcmp(folder, "/") == 0)
    folder[0] = '\0';
  return relative_path(folder, to, out, size);
}
