/* SPDX-License-Identifier: BSD-2-Clause */
/* parent.c: see parent.h. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/arith.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/utf.h"
#include "image/parent.h"

/* UTF-16 takes at most 3 bytes of UTF-8 for each of its 2. */
#define NAME_UTF8 (HEADER_NAME_SIZE / 2 * 3 + 1)

char *
parent_stored_name(const struct header *header)
{
  char name[NAME_UTF8];

  utf16_decode(header->parent_name, HEADER_NAME_SIZE, true, name, sizeof name);
  return strdup(name);
}

/* ------------------------------------------------------------------- search */

struct search {
  const struct vhd_image *child;
  const struct chain *chain;
  char *dir;           /* the child's own */
  int (*try)(void *opaque, const char *path, struct vhd_error *err);
  void *opaque;
  struct vhd_error *err;
  int result;          /* -ENOENT: go on looking */
  bool denied;         /* something was there, outside the roots */
  char looked[600];    /* "a, b, c" */
  struct vhd_error refused; /* why one that was there is not the parent */
};

static void
add_looked(struct search *s, const char *path)
{
  size_t used = strlen(s->looked);

  snprintf(s->looked + used, sizeof s->looked - used, "%s'%s'",
           used ? ", " : "", path);
}

static bool
under_root(const struct chain *chain, const char *path)
{
  for (size_t i = 0; i < chain->nroots; i++) {
    size_t n = strlen(chain->roots[i]);
    if (n == 1 || (strncmp(path, chain->roots[i], n) == 0 && path[n] == '/'))
      return true;
  }
  return false;
}

/* The entry of dir whose name is `name` but for upper and lower case. */
static char *
match_nocase(const char *dir, const char *name)
{
  DIR *d = opendir(dir);
  struct dirent *e;
  char *found = NULL;

  if (!d)
    return NULL;
  while (!found && (e = readdir(d)) != NULL)
    if (strcasecmp(e->d_name, name) == 0)
      found = strdup(e->d_name);
  closedir(d);
  return found;
}

/* Windows does not tell case apart; its paths may not match ours to the
 * letter.  Returns an existing canonical path, or NULL. */
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
      CLEANUP_FREE char *other = match_nocase(have, part);
      free(next);
      if (!other || asprintf(&next, "%s/%s", have, other) < 0)
        return NULL;
    }
    free(have);
    have = next;
  }
  return have ? realpath(have, NULL) : NULL;
}

/* One candidate.  Sets result once the search is over. */
static void
try_path(struct search *s, const char *path)
{
  struct stat st;

  if (s->result != -ENOENT)
    return;
  CLEANUP_FREE char *real = resolve(path);
  if (!real) {
    add_looked(s, path);
    return;
  }
  if (!under_root(s->chain, real)) {
    s->denied = true;
    add_looked(s, path);
    return;
  }
  if (stat(real, &st) < 0 || !S_ISREG(st.st_mode)) {
    add_looked(s, path);
    return;
  }
  struct vhd_error err = { .code = VHD_OK };
  int e = s->try(s->opaque, real, &err);
  if (e == -ENOENT) {
    if (s->refused.code == VHD_OK)
      s->refused = err;
    add_looked(s, path);
    return;
  }
  s->result = e;
  if (e < 0 && s->err)
    *s->err = err;
}

static void
try_in_dir(struct search *s, const char *relative)
{
  char *path;

  if (asprintf(&path, "%s/%s", s->dir, relative) < 0)
    return;
  try_path(s, path);
  free(path);
}

static void
try_locators(struct search *s, bool want_relative)
{
  const struct layout *l = &s->child->top->layout;
  static const uint32_t order[] = { LOCATOR_W2RU, LOCATOR_WI2R, LOCATOR_MACX,
                                    LOCATOR_W2KU, LOCATOR_WI2K };

  for (size_t o = 0; o < sizeof order / sizeof *order; o++)
    for (unsigned i = 0; i < LOCATOR_COUNT; i++) {
      uint8_t data[LOCATOR_MAX_LEN];
      char path[PATH_MAX];
      bool relative;
      const struct locator *loc = &l->locator[i];
      if (loc->code != order[o] || s->result != -ENOENT ||
          file_read(s->child->top->file, data, loc->len, loc->off) < 0 ||
          locator_path(loc->code, data, loc->len, path, sizeof path,
                       &relative) < 0 ||
          relative != want_relative)
        continue;
      if (relative)
        try_in_dir(s, path);
      else
        try_path(s, path);
    }
}

/* The stored name may be a whole Windows path. */
static void
try_stored_name(struct search *s)
{
  const char *name = s->child->top->parent_name;
  const char *base = name;

  for (const char *p = name; *p; p++)
    if (*p == '/' || *p == '\\')
      base = p + 1;
  if (*base && strcmp(base, ".") != 0 && strcmp(base, "..") != 0)
    try_in_dir(s, base);
}

static int
not_found(struct search *s)
{
  const char *path = s->child->top->path;

  if (s->refused.code != VHD_OK) {
    if (s->err)
      *s->err = s->refused;
    return -EINVAL;
  }
  if (s->denied)
    return vhd_fail(s->err, VHD_PARENT_DENIED, EACCES,
                    "%s: parent '%s' lies outside the allowed folders; looked "
                    "in %s; allow its folder with --root", path,
                    s->child->top->parent_name, s->looked);
  return vhd_fail(s->err, VHD_PARENT_MISSING, ENOENT,
                  "%s: parent '%s' not found; looked in %s; put it back in "
                  "one of these places", path, s->child->top->parent_name,
                  s->looked[0] ? s->looked : "no place, for none is named");
}

int
parent_find(const struct vhd_image *child, const struct chain *chain,
            int (*try)(void *opaque, const char *path, struct vhd_error *err),
            void *opaque, struct vhd_error *err)
{
  struct search s = { .child = child, .chain = chain, .try = try,
                      .opaque = opaque, .err = err, .result = -ENOENT };
  CLEANUP_FREE char *dir = realpath(child->top->path, NULL);

  char *slash = dir ? strrchr(dir, '/') : NULL;
  if (!slash)
    return vhd_fail_sys(err, errno, "%s", child->top->path);
  slash[slash == dir] = '\0';
  s.dir = dir;
  try_locators(&s, true);
  try_stored_name(&s);
  try_locators(&s, false);
  return s.result == -ENOENT ? not_found(&s) : s.result;
}
