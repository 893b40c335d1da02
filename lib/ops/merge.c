/* SPDX-License-Identifier: BSD-2-Clause */
/* merge.c: vhd_merge(): a child's content becomes its parent's.  One thread a
 * call.
 *
 *   1. What the child itself holds is written into the parent, by requests
 *      like any other; the child hides all that meanwhile, so that its disk
 *      reads the same at each moment, and after a crash the same can be done
 *      again.
 *   2. The parent is closed: all of it is durable.
 *   3. A child that has children is marked as temporary.
 *   4. Its children come to name the parent, one after the other.
 *   5. The child is removed.
 *
 * The mark is for who goes on after a crash within 4: children of the child are
 * children of the parent by then, which would otherwise forbid the merge.  It
 * is not believed alone: the parent must hold all that the child does. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/rules.h"
#include "image/image.h"
#include "image/open.h"
#include "ops/chain_options.h"
#include "ops/reparent.h"
#include "ops/settle.h"
#include "ops/walk.h"
#include "store/folder.h"
#include "store/names.h"
#include "store/times.h"

#define CHUNK ((size_t)1 << 20)
#define PIECE ((size_t)64 << 10)
#define SYNC_STEP (8 * CHUNK)
#define TEMPORARY 1U

struct paths {
  char **path;
  size_t n;
};

struct merge {
  const char *path;
  const struct vhd_chain_options *opt;
  char *parent_path;
  struct paths below;       /* the child's children */
  struct paths others;      /* the parent's, but for the child */
  struct edit *edit;        /* of those below, held */
  struct vhd_image *child;  /* alone: what it does not hold is a hole */
  struct vhd_image *parent; /* open for writing */
  size_t written;           /* since the host began to write it back */
  struct progress progress;
  struct vhd_error *err;
};

/* ------------------------------------------------------------------- family */

static int
add_path(void *opaque, const char *path)
{
  struct paths *paths = opaque;
  char **more = realloc(paths->path, (paths->n + 1) * sizeof *more);

  if (!more)
    return -ENOMEM;
  paths->path = more;
  more[paths->n] = strdup(path);
  return more[paths->n] ? (void)paths->n++, 0 : -ENOMEM;
}

static void
free_paths(struct paths *paths)
{
  for (size_t i = 0; i < paths->n; i++)
    free(paths->path[i]);
  free(paths->path);
}

struct sieve {
  const char *path; /* no child of interest */
  struct paths *paths;
};

static int
add_other(void *opaque, const char *path)
{
  struct sieve *sieve = opaque;

  for (size_t i = 0; i < sieve->paths->n; i++)
    if (names_same(path, sieve->paths->path[i]))
      return 0;
  return names_same(path, sieve->path) ? 0 : add_path(sieve->paths, path);
}

/* They are looked for beside the child and beside the parent. */
static int
find_family(struct merge *m, struct vhd_image *child, struct vhd_image *parent)
{
  CLEANUP_FREE char *folder = folder_of(m->path);
  struct sieve below = { m->path, &m->below }, others = { m->path, &m->others };
  struct vhd_image *of[] = { child, parent };
  struct sieve *sieve[] = { &below, &others };
  int r = folder ? 0 : -ENOMEM;

  for (unsigned i = 0; r == 0 && i < 4; i++)
    r = vhd_find_children(of[i / 2], i % 2 ? NULL : folder, UINT_MAX,
                          add_other, sieve[i / 2]);
  return r < 0 ? vhd_fail_sys(m->err, -r, "%s: cannot look for children",
                              m->path) : 0;
}

static int
check_pair(const struct merge *m, const struct vhd_info *child,
           const struct vhd_info *parent)
{
  if (parent->type == VHD_RAW)
    return vhd_fail(m->err, VHD_ARGUMENT, EINVAL,
                    "%s: its parent '%s' is a raw file; only a VHD can take "
                    "it up", m->path, parent->path);
  if (child->size != parent->size)
    return vhd_fail(m->err, VHD_PARENT_SIZE, EINVAL,
                    "%s: has %" PRIu64 " bytes, its parent '%s' %" PRIu64
                    "; they must be as large before one becomes part of the "
                    "other", m->path, child->size, parent->path,
                    parent->size);
  if (child->saved_state || parent->saved_state)
    return vhd_fail(m->err, VHD_STATE, EBUSY,
                    "%s: the state of a virtual machine was saved with %s, so "
                    "it must not be merged until the machine has gone on and "
                    "was shut down", m->path,
                    child->saved_state ? "it" : "its parent");
  return 0;
}

/* Of children that were led to the parent; the rest of what they are does not
 * matter here. */
static void
finish_others(const struct merge *m)
{
  for (size_t i = 0; i < m->others.n; i++)
    edit_finish(m->others.path[i], &m->opt->open, NULL);
}

/* Looks at all of the family, as it is before anything is done. */
static int
look(struct merge *m)
{
  struct vhd_image *image, *parent;
  struct vhd_info child_info, parent_info;

  int r = edit_finish(m->path, &m->opt->open, m->err);
  if (r == 0)
    r = settle_open_parent(m->path, &m->opt->open, &image, m->err);
  if (r < 0)
    return r;
  parent = vhd_parent(image);
  if (!parent) {
    r = vhd_fail(m->err, VHD_ARGUMENT, EINVAL,
                 "%s: it has no parent of which it could become part",
                 m->path);
  } else {
    vhd_get_info(image, &child_info);
    vhd_get_info(parent, &parent_info);
    r = check_pair(m, &child_info, &parent_info);
    m->parent_path = strdup(parent_info.path);
    if (r == 0 && !m->parent_path)
      r = vhd_fail_sys(m->err, ENOMEM, "%s", m->path);
    if (r == 0)
      r = find_family(m, image, parent);
  }
  vhd_close(image, NULL);
  return r;
}

/* Nobody else is to change them until the merge is done. */
static int
hold_below(struct merge *m)
{
  int r = 0;

  m->edit = calloc(m->below.n + 1, sizeof *m->edit);
  if (!m->edit)
    return vhd_fail_sys(m->err, ENOMEM, "%s", m->path);
  for (size_t i = 0; r == 0 && i < m->below.n; i++)
    r = edit_open(&m->edit[i], m->below.path[i], &m->opt->open, m->err);
  return r;
}

/* The child by itself, locked for writing. */
static int
open_child(struct merge *m)
{
  struct layer *layer;
  struct edit edit;

  int r = edit_open(&edit, m->path, &m->opt->open, m->err);
  if (r < 0)
    return r;
  layout_free(&edit.layout);
  r = layer_new(edit.file, VHD_OPEN_READONLY, LAYER_VHD, &layer, m->err);
  if (r < 0)
    return r;
  if (layer_make_table(layer, false) < 0) {
    layer_unref(layer);
    return vhd_fail_sys(m->err, ENOMEM, "%s", m->path);
  }
  m->child = image_of_layer(layer, false);
  if (!m->child)
    return vhd_fail_sys(m->err, ENOMEM, "%s", m->path);
  m->child->orphan = false;
  return 0;
}

/* ------------------------------------------------------------------ content */

typedef int take_fn(struct merge *m, uint8_t *buf, size_t len, uint64_t off);

/* Into the parent; zeros as such, which may have it give space back. */
static int
write_chunk(struct merge *m, uint8_t *buf, size_t len, uint64_t off)
{
  size_t n;
  bool zero;
  int r = 0;

  for (size_t at = 0; r == 0 && at < len; at += n) {
    n = data_stretch(buf + at, len - at, PIECE, &zero);
    r = zero ? vhd_zero(m->parent, n, off + at, 0)
             : vhd_pwrite(m->parent, buf + at, n, off + at, 0);
  }
  m->written += len;
  if (m->written >= SYNC_STEP) {
    file_begin_sync(m->parent->top->file);
    m->written = 0;
  }
  return r < 0 ? vhd_fail_sys(m->err, -r, "%s: cannot be written to at %"
                              PRIu64 "; give the same command again once it "
                              "can", m->parent_path, off) : 0;
}

/* Is it there already? */
static int
verify_chunk(struct merge *m, uint8_t *buf, size_t len, uint64_t off)
{
  uint8_t *theirs = buf + CHUNK;

  int r = vhd_pread(m->parent, theirs, len, off);
  if (r < 0)
    return vhd_fail_sys(m->err, -r, "%s: cannot be read at %" PRIu64,
                        m->parent_path, off);
  return memcmp(buf, theirs, len) == 0 ? 0 : -ESTALE;
}

struct taking {
  struct merge *m;
  take_fn *take;
  uint8_t *buf; /* 2 * CHUNK */
};

/* One run of the child's map. */
static int
take_run(void *opaque, const struct vhd_run *run, uint64_t off)
{
  const struct taking *t = opaque;
  struct merge *m = t->m;
  const uint64_t end = off + run->len;
  size_t n;
  int r = 0;

  for (; run->kind == VHD_RUN_DATA && r == 0 && off < end; off += n) {
    n = (size_t)MIN(end - off, CHUNK - off % CHUNK);
    r = vhd_pread(m->child, t->buf, n, off);
    if (r < 0)
      return vhd_fail_sys(m->err, -r, "%s: cannot be read at %" PRIu64,
                          m->path, off);
    r = t->take(m, t->buf, n, off);
    if (r == 0)
      r = progress_add(&m->progress, n, m->err);
  }
  return r;
}

static int
take_all(struct merge *m, take_fn *take)
{
  CLEANUP_FREE uint8_t *buf = malloc(2 * CHUNK);
  struct taking t = { .m = m, .take = take, .buf = buf };

  if (!buf)
    return vhd_fail_sys(m->err, ENOMEM, "%s", m->path);
  return walk_runs(m->child, 0, vhd_size(m->child), take_run, &t, m->err);
}

/* 1: a merge that was interrupted has come so far that the parent holds all
 * that the child does; 0; -errno. */
static int
is_taken(struct merge *m)
{
  if (!(m->child->top->footer.features & TEMPORARY))
    return 0;
  int r = take_all(m, verify_chunk);
  return r == 0 ? 1 : r == -ESTALE ? 0 : r;
}

/* Children of the parent that are not the child's take their content from it;
 * but those that were the child's, before a crash, may do so. */
static int
check_others(struct merge *m, bool taken)
{
  if (m->others.n == 0 || m->opt->flags & VHD_MERGE_SPOIL_OTHERS)
    return 0;
  if (taken)
    finish_others(m);
  return taken
           ? 0 : vhd_fail(m->err, VHD_STATE, EBUSY,
                          "%s: its parent '%s' is the parent of '%s', too, "
                          "which would be worth nothing afterwards", m->path,
                          m->parent_path, m->others.path[0]);
}

/* What is written to the parent is nothing new for the child.  Children that
 * were led to it already know when it was changed last: where all is there, it
 * is not written to again. */
static int
fill_parent(struct merge *m)
{
  const struct layer *top = m->child->top;
  struct file_times times = { 0 };
  int taken = 0;

  int r = vhd_open(m->parent_path, &m->opt->open, &m->parent, m->err);
  if (r < 0)
    return r;
  file_times(m->parent->top->file, &times);
  r = progress_begin(&m->progress, &m->opt->progress, m->path,
                     (uint64_t)top->nallocated << top->block_shift, m->err);
  if (r == 0)
    r = MIN(taken = is_taken(m), 0);
  if (r == 0)
    r = check_others(m, taken);
  if (r == 0 && !taken)
    r = take_all(m, write_chunk);
  if (r == 0)
    r = progress_end(&m->progress, m->err);
  if ((r < 0 || taken) && image_finish(m->parent) == 0)
    file_set_time(m->parent->top->file,
                  times.changed.sec * 1000000000 + times.changed.nsec);
  int e = 0;
  if (RULE(PARENT_FIRST))
    e = vhd_close(m->parent, r < 0 ? NULL : m->err);
  else
    image_free(m->parent);
  m->parent = NULL;
  return r < 0 ? r : e;
}

/* -------------------------------------------------------------------- names */

static int
mark_temporary(struct merge *m, struct edit *edit)
{
  struct footer footer = edit->layout.footer;
  struct redo *redo;

  if (!RULE(LEAD_MARKED) || m->below.n == 0 || footer.features & TEMPORARY)
    return 0;
  footer.features |= TEMPORARY;
  int r = redo_begin(edit->file, &redo, m->err);
  if (r < 0)
    return r;
  edit_keep_time(edit, redo);
  r = edit_add_footers(edit, redo, &footer, edit->layout.footer_off);
  r = r < 0 ? vhd_fail_sys(m->err, -r, "%s", m->path)
            : redo_commit(redo, m->err);
  redo_free(redo);
  return r;
}

static int
lead_to_parent(struct merge *m)
{
  struct vhd_open_options open = m->opt->open;
  struct vhd_image *parent;
  struct vhd_info info;

  open.flags |= VHD_OPEN_READONLY;
  int r = m->below.n > 0 ? vhd_open(m->parent_path, &open, &parent, m->err) : 0;
  if (r < 0 || m->below.n == 0)
    return r;
  vhd_get_info(parent, &info);
  for (size_t i = 0; r == 0 && i < m->below.n; i++)
    r = reparent(&m->edit[i], m->parent_path, &info, REPARENT_SAME_DISK,
                 m->err);
  vhd_close(parent, NULL);
  return r;
}

static int
remove_child(struct merge *m)
{
  struct edit edit;

  int r = edit_take(&edit, m->child, m->err);
  m->child = NULL;
  if (r < 0)
    return r;
  r = mark_temporary(m, &edit);
  if (r == 0 && RULE(LEAD_FIRST))
    r = lead_to_parent(m);
  if (r == 0)
    r = names_remove(m->path, m->err);
  edit_close(&edit);
  return r;
}

int
vhd_merge(const char *path, const struct vhd_chain_options *opt,
          struct vhd_error *err)
{
  static const struct vhd_chain_options defaults;
  struct merge m = { .path = path, .opt = opt ? opt : &defaults, .err = err };

  int r = chain_check_options(m.opt, VHD_MERGE_SPOIL_OTHERS, path, err);
  if (r == 0)
    r = names_refuse_link(path, err);
  if (r == 0)
    r = look(&m);
  if (r == 0)
    r = hold_below(&m);
  if (r == 0)
    r = open_child(&m);
  if (r == 0)
    r = fill_parent(&m);
  if (r == 0)
    r = remove_child(&m);
  image_free(m.child);
  for (size_t i = 0; m.edit && i < m.below.n; i++)
    edit_close(&m.edit[i]);
  free(m.edit);
  free_paths(&m.below);
  free_paths(&m.others);
  free(m.parent_path);
  return r;
}
