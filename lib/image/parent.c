/* SPDX-License-Identifier: BSD-2-Clause */
/* parent.c: see parent.h. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "image/layout_vhdx.h"
#include "image/parent.h"

/* --------------------------------------------------------------- candidates */

static int
add_name(struct parent_search *s, const char *name)
{
  char *copy = strdup(name);

  if (!copy)
    return -ENOMEM;
  s->name[s->n++] = copy;
  return 0;
}

/* The last part of a path of ours or of Windows. */
static const char *
base_name(const char *path)
{
  const char *base = path;

  for (const char *p = path; *p; p++)
    if (*p == '/' || *p == '\\')
      base = p + 1;
  return base;
}

/* The file of that name beside the child. */
static int
add_base(struct parent_search *s, const char *path)
{
  const char *base = base_name(path);

  if (*base == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
    return 0;
  return add_name(s, base);
}

enum kind { RELATIVE, BASE, ABSOLUTE };

struct scratch {
  uint8_t data[LOCATOR_MAX_LEN];
  char path[PATH_MAX];
};

static int
add_locator(struct parent_search *s, const struct locator *loc, enum kind kind,
            struct scratch *scratch)
{
  bool relative;

  /* What cannot be read may be the right one: another than it would do. */
  int e = file_read(s->child->file, scratch->data, loc->len, loc->off);
  if (e < 0)
    return e;
  if (locator_path(loc->code, scratch->data, loc->len, scratch->path,
                   sizeof scratch->path, &relative) < 0 ||
      relative != (kind == RELATIVE))
    return 0;
  return kind == BASE ? add_base(s, scratch->path)
                      : add_name(s, scratch->path);
}

static int
add_locators(struct parent_search *s, enum kind kind, struct scratch *scratch)
{
  static const uint32_t order[] = { LOCATOR_W2RU, LOCATOR_WI2R, LOCATOR_MACX,
                                    LOCATOR_W2KU, LOCATOR_WI2K };
  const struct locator *all = s->child->layout.locator;
  int e = 0;

  for (size_t o = 0; o < sizeof order / sizeof *order; o++)
    for (unsigned i = 0; e == 0 && i < LOCATOR_COUNT; i++)
      if (all[i].code == order[o])
        e = add_locator(s, &all[i], kind, scratch);
  return e;
}

/* What a VHDX says: the same places, in the same order. */
static int
add_paths(struct parent_search *s, char *const *path)
{
  int e = 0;

  if (path[VHDX_PATH_RELATIVE])
    e = add_name(s, path[VHDX_PATH_RELATIVE]);
  if (e == 0)
    e = add_base(s, s->child->parent_name);
  if (e == 0 && path[VHDX_PATH_ABSOLUTE])
    e = add_name(s, path[VHDX_PATH_ABSOLUTE]);
  if (e == 0 && path[VHDX_PATH_VOLUME])
    e = add_base(s, path[VHDX_PATH_VOLUME]);
  return e;
}

/* The stored name may be a whole Windows path.  Where none is stored, an
 * absolute locator says it too. */
int
parent_search_begin(struct parent_search *s, const struct layer *child)
{
  CLEANUP_FREE struct scratch *scratch = malloc(sizeof *scratch);

  memset(s, 0, sizeof *s);
  s->child = child;
  if (child->layout.vhdx)
    return add_paths(s, child->layout.vhdx->path);
  int e = scratch ? add_locators(s, RELATIVE, scratch) : -ENOMEM;
  if (e == 0)
    e = child->parent_name[0] != '\0' ? add_base(s, child->parent_name)
                                      : add_locators(s, BASE, scratch);
  if (e == 0)
    e = add_locators(s, ABSOLUTE, scratch);
  return e;
}

void
parent_search_end(struct parent_search *s)
{
  for (unsigned i = 0; i < s->n; i++)
    free(s->name[i]);
  s->n = 0;
}

/* ------------------------------------------------------------------- search */

const char *
parent_search_next(struct parent_search *s)
{
  s->nth = s->again ? s->nth + 1 : 0;
  if (s->again) {
    s->again = false;
    return s->name[s->at - 1];
  }
  return s->at < s->n ? s->name[s->at++] : NULL;
}

void
parent_search_more(struct parent_search *s)
{
  s->again = s->nth + 1 < PARENT_SPELLINGS;
}

void
parent_search_missed(struct parent_search *s)
{
  size_t used = strlen(s->looked);
  const char *name = s->name[s->at - 1];
  const char *path = s->child->path, *slash = strrchr(path, '/');

  if (s->nth > 0)
    return;
  if (name[0] == '/' || !slash)
    snprintf(s->looked + used, sizeof s->looked - used, "%s'%s'",
             used ? ", " : "", name);
  else
    snprintf(s->looked + used, sizeof s->looked - used, "%s'%.*s/%s'",
             used ? ", " : "", (int)(slash - path), path, name);
}

void
parent_search_denied(struct parent_search *s)
{
  s->denied = true;
  parent_search_missed(s);
  parent_search_more(s);
}

void
parent_search_refused(struct parent_search *s, const struct vhd_error *why)
{
  if (s->refused.code == VHD_OK)
    s->refused = *why;
  parent_search_missed(s);
  parent_search_more(s);
}

int
parent_search_failed(struct parent_search *s, struct vhd_error *err)
{
  const char *path = s->child->path;

  if (s->refused.code != VHD_OK) {
    if (err)
      *err = s->refused;
    return -EINVAL;
  }
  if (s->denied)
    return vhd_fail(err, VHD_PARENT_DENIED, EACCES,
                    "%s: parent '%s' lies outside the allowed folders; looked "
                    "in %s; allow its folder with --root", path,
                    s->child->parent_name, s->looked);
  return vhd_fail(err, VHD_PARENT_MISSING, ENOENT,
                  "%s: parent '%s' not found; looked in %s; put it back in "
                  "one of these places", path, s->child->parent_name,
                  s->looked[0] ? s->looked : "no place, for none is named");
}
