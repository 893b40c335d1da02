/* SPDX-License-Identifier: BSD-2-Clause */
/* chain.c: see chain.h.
 *
 * The search for a parent goes on past what is certainly another file: one that
 * is no VHD, or has another id, be it of this chain itself, as a child that is
 * called like its parent.  It ends with one that may be the parent but cannot
 * be read or is held by a writer: an old copy may lie elsewhere. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arith.h"
#include "base/error.h"
#include "format/guid.h"
#include "image/chain.h"
#include "store/disk.h"
#include "store/local.h"
#include "store/lookup.h"
#include "store/redo.h"

#define PARENT_FLAGS \
  (VHD_OPEN_RAW_PARENT | VHD_OPEN_UNLOCKED | VHD_OPEN_NO_PARENT | LAYER_HEAD)

int
chain_blame(const struct chain *c, int e, struct vhd_error *err)
{
  static const int own[] = { VHD_BUSY, VHD_CHAIN_CYCLE, VHD_LIMIT, VHD_SYSTEM,
                             VHD_PARENT_MISSING, VHD_PARENT_ID,
                             VHD_PARENT_DENIED, VHD_CHAIN_PARENT,
                             VHD_JOURNAL };
  int code = VHD_CHAIN_PARENT;

  if (!err)
    return e;
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    if (err->code == own[i])
      code = own[i];
  vhd_fail(err, code, err->sys ? err->sys : EINVAL, "%s: in its parent: %s",
           c->layer[0]->path, err->message);
  return e;
}

/* The same of what the last file found so far says of its own parent, which is
 * nobody else's where it is the one that was asked for. */
static int
blame_last(const struct chain *c, int e, struct vhd_error *err)
{
  return c->n > 1 ? chain_blame(c, e, err) : e;
}

/* -------------------------------------------------------------- a candidate */

/* The layer of this chain that the file is, or NULL. */
static const struct layer *
find_own(const struct chain *c, const struct vhd_file *file)
{
  for (unsigned i = 0; i < c->n; i++)
    if (file_same(c->layer[i]->file, file))
      return c->layer[i];
  return NULL;
}

/* Xen's way to say that the parent is no VHD. */
static bool
names_raw(const struct layer *child)
{
  return child->format == VHD_FORMAT_VHD &&
         guid_is_null(child->header.parent_id);
}

/* A candidate that is of this chain: returns as try_candidate() does. */
static int
refuse_own(struct chain *c, const struct layer *own)
{
  const struct layer *child = c->layer[c->n - 1];

  int e = vhd_fail(&c->why, VHD_CHAIN_CYCLE, ELOOP,
                   "%s: its chain of parents is a circle, which closes at '%s'",
                   child->path, own->path);
  if (layer_is_parent(child, own) || names_raw(child))
    return blame_last(c, e, &c->why);
  parent_search_refused(&c->search, &c->why);
  return 1;
}

/* A change in place that was interrupted comes before all else. */
static int
finish_change(struct vhd_file *file, uint32_t flags, struct vhd_error *err)
{
  return redo_finish(file,
                     flags & VHD_OPEN_UNLOCKED ? REDO_UNLOCKED
                     : flags & VHD_OPEN_READONLY ? REDO_READER : REDO_WRITER,
                     err);
}

static void
warn_of_change(struct layer *l, enum redo_found found)
{
  char text[600];

  if (found == REDO_NONE)
    return;
  snprintf(text, sizeof text, found == REDO_UNDER_WAY
             ? "the image is being changed in place, or that was interrupted: "
               "'%.300s%s' says how; what is seen may be torn"
             : "beside the image lies '%.300s%s', where an interrupted change "
               "of another file of that name was written down; remove it if "
               "that file is gone", l->path, COMPANION_SUFFIX);
  layer_warn(l, text);
}

/* Reads a file that is locked as its flags say.  Takes it over. */
static int
read_file(struct vhd_file *file, uint32_t flags, enum layer_formats formats,
          struct layer **layer, struct vhd_error *err)
{
  int found = finish_change(file, flags, err);
  if (found < 0) {
    file_close(file);
    return found;
  }
  int e = layer_new(file, flags, formats, layer, err);
  if (e == 0)
    warn_of_change(*layer, (enum redo_found)found);
  return e;
}

/* Takes the file over.  A parent is of the child's format, or raw. */
static int
read_candidate(struct chain *c, struct vhd_file *file, uint32_t flags,
               struct layer **layer)
{
  struct vhd_error *why = &c->why;
  enum layer_formats formats =
    c->layer[c->n - 1]->format == VHD_FORMAT_VHDX ? LAYER_VHDX : LAYER_VHD;

  *layer = flags & VHD_OPEN_UNLOCKED
             ? NULL : layer_find(file, flags, c->opt->journal_dir);
  if (*layer) {
    file_close(file);
    return 0;
  }
  int e = flags & VHD_OPEN_UNLOCKED ? 0 : file_lock(file, false, why);
  if (e < 0) {
    file_close(file);
    return e;
  }
  return read_file(file, flags, formats, layer, why);
}

static bool
is_no_vhd(const struct vhd_error *why)
{
  return why->code == VHD_FOOTER_MISSING || why->code == VHD_FORMAT_UNKNOWN;
}

/* Is it the parent that the child names?  Else says what it is. */
static bool
is_parent(struct chain *c, const struct layer *child, const struct layer *l)
{
  char want[GUID_TEXT_SIZE], have[GUID_TEXT_SIZE];

  if (layer_is_parent(child, l))
    return true;
  layer_parent_id_text(child, want);
  layer_id_text(l, have);
  vhd_fail(&c->why, VHD_PARENT_ID, EINVAL,
           "%s: its parent has the id %s, but '%s' has %s: it is another "
           "image, or was replaced", child->path, want, l->path, have);
  return false;
}

/* One candidate: 1 the search goes on or has found it, or -errno with c->why
 * set. */
static int
try_candidate(struct chain *c, const char *name)
{
  const struct layer *child = c->layer[c->n - 1];
  bool raw = names_raw(child);
  uint32_t flags = VHD_OPEN_READONLY | c->parent_flags;
  struct vhd_file *file;
  struct layer *layer;

  int e = file_beside(child->file, name, c->search.nth, &c->roots, &file,
                      &c->why);
  if (e == -ENOENT)
    return parent_search_missed(&c->search), 1;
  if (e < 0 && c->why.code == VHD_PARENT_DENIED)
    return parent_search_denied(&c->search), 1;
  if (e < 0)
    return chain_blame(c, e, &c->why);
  const struct layer *own = find_own(c, file);
  if (own) {
    file_close(file);
    return refuse_own(c, own);
  }
  e = read_candidate(c, file, raw ? flags | VHD_OPEN_RAW : flags, &layer);
  if (e < 0) {
    bool other = is_no_vhd(&c->why);
    if (!other || c->n == 1)
      chain_blame(c, e, &c->why);
    if (!other)
      return e;
    parent_search_refused(&c->search, &c->why);
    return 1;
  }
  if (raw || is_parent(c, child, layer)) {
    c->layer[c->n++] = layer;
    c->searching = false;
    parent_search_end(&c->search);
    return 1;
  }
  layer_unref(layer);
  parent_search_refused(&c->search, &c->why);
  return 1;
}

/* --------------------------------------------------------------------- loop */

static int
begin_search(struct chain *c, struct vhd_error *err)
{
  const struct layer *child = c->layer[c->n - 1];

  if (child->type != VHD_DIFFERENCING ||
      c->parent_flags & VHD_OPEN_NO_PARENT)
    return 0;
  if (c->n > VHD_MAX_DEPTH)
    return vhd_fail(err, VHD_LIMIT, ELOOP,
                    "%s: the chain of parents is longer than %d", child->path,
                    VHD_MAX_DEPTH);
  if (names_raw(child) && !(c->parent_flags & VHD_OPEN_RAW_PARENT))
    return vhd_fail(err, VHD_PARENT_ID, EINVAL,
                    "%s: it names no VHD as its parent but a raw file ('%s'); "
                    "this must be allowed explicitly", child->path,
                    child->parent_name);
  c->searching = true;
  int e = parent_search_begin(&c->search, child);
  return e < 0 ? vhd_fail_sys(err, -e, "%s: cannot read where its parent lies",
                              child->path) : 1;
}

int
chain_step(struct chain *c, struct vhd_error *err)
{
  if (!c->searching) {
    int e = begin_search(c, err);
    return e < 0 ? blame_last(c, e, err) : e;
  }
  const char *name = parent_search_next(&c->search);
  if (!name)
    return blame_last(c, parent_search_failed(&c->search, err), err);
  int e = try_candidate(c, name);
  if (e < 0 && err)
    *err = c->why;
  return e;
}

static int
open_disk(const char *path, const struct vhd_open_options *opt,
          struct vhd_file **file, struct vhd_error *err)
{
  const uint32_t needed = VHD_OPEN_RAW | VHD_OPEN_READONLY;

  if ((opt->flags & needed) != needed)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: this disk of the caller's can only be opened raw and "
                    "read-only", path);
  return disk_open(opt->disk, path, file, err);
}

/* The file that the path names, or what stands for it. */
static int
open_top(const char *path, const struct vhd_open_options *opt,
         struct vhd_file **file, struct vhd_error *err)
{
  enum local_mode mode = opt->flags & VHD_OPEN_UNLOCKED ? LOCAL_UNLOCKED
                         : opt->flags & VHD_OPEN_READONLY ? LOCAL_READ
                         : LOCAL_WRITE;

  return opt->disk ? open_disk(path, opt, file, err)
                   : local_open(path, mode, file, err);
}

int
chain_begin(struct chain *c, const char *path,
            const struct vhd_open_options *opt, struct vhd_error *err)
{
  struct vhd_file *file;
  int e = 0;

  memset(c, 0, sizeof *c);
  c->opt = opt;
  c->parent_flags = opt->flags & PARENT_FLAGS;
  /* What is raw has no parents. */
  if (!opt->disk)
    e = lookup_roots(path, opt->roots, opt->nroots, &c->roots, err);
  if (e == 0)
    e = open_top(path, opt, &file, err);
  if (e == 0)
    e = read_file(file, opt->flags, LAYER_ANY, &c->layer[0], err);
  c->n = e == 0;
  return e;
}

int
chain_begin_below(struct chain *c, struct layer *child,
                  const struct vhd_open_options *opt, struct vhd_error *err)
{
  memset(c, 0, sizeof *c);
  c->opt = opt;
  c->parent_flags = opt->flags & PARENT_FLAGS;
  c->layer[0] = child;
  c->n = 1;
  return lookup_roots(child->path, opt->roots, opt->nroots, &c->roots, err);
}

void
chain_end(struct chain *c)
{
  if (c->searching)
    parent_search_end(&c->search);
  for (unsigned i = 0; i < c->n; i++)
    layer_unref(c->layer[i]);
  lookup_roots_free(&c->roots);
}
