/* SPDX-License-Identifier: BSD-2-Clause */
/* relink.c: vhd_relink(), children whose parents were moved.  One thread.
 *
 * What vhd_list() finds in the folders is remembered: ids, and which child's
 * parent is not where it says.  For such a child the image of that id is looked
 * for among them, and vhd_set() names it, one child after another; each is
 * before or after, and the same call goes on with what is left. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/error.h"
#include "base/progress.h"
#include "ops/edit.h"
#include "vhdkit.h"

/* What reading one image's metadata counts for. */
#define WORK 4096

struct known {
  char *path;
  uint64_t device, inode;
  char id[37], parent_id[37];
  bool lost;  /* its parent is not where it says */
  bool given; /* one of the caller's parents */
};

struct relinking {
  const struct vhd_relink_options *opt;
  void (*found)(void *opaque, const struct vhd_relink_item *item);
  void *opaque;
  struct vhd_relink_result *result;
  struct known *known;
  size_t n, room;
  bool given; /* what is listed now was given as a parent */
  bool finishing; /* it was interrupted, and is told of again */
  struct progress progress;
  struct vhd_error *err;
};

static void
tell(struct relinking *r, const char *child, const char *parent,
     const struct vhd_error *why)
{
  const struct vhd_relink_item item = {
    .path = child, .parent = parent,
    .code = why != NULL ? why->code : VHD_OK,
    .message = why != NULL ? why->message : NULL,
  };

  if (why != NULL)
    r->result->left++;
  else
    r->result->relinked++;
  if (r->found != NULL)
    r->found(r->opaque, &item);
}

static int list(struct relinking *r, const char *path);

/* What a killed call has left half done is finished first, and then told
 * again.  1: it was. */
static int
finish(struct relinking *r, const char *path)
{
  if (r->finishing || r->opt->flags & VHD_RELINK_DRY_RUN ||
      !edit_interrupted(path))
    return 0;
  edit_finish(path, &r->opt->open, NULL);
  r->finishing = true;
  int e = list(r, path);
  r->finishing = false;
  return e < 0 ? e : 1;
}

/* Does the child name its parent where that certainly is not?  What lies in a
 * place that may not, or cannot be looked at, or is damaged, may be it. */
static bool
is_lost(const struct vhd_list_item *item)
{
  return item->code == VHD_PARENT_MISSING || item->code == VHD_PARENT_ID ||
         item->code == VHD_CHAIN_CYCLE;
}

/* Can nothing be done here, though something is wrong?  What cannot be read may
 * be a child whose parent is lost; of an image that was given as a parent its
 * own does not matter. */
static bool
is_stuck(const struct relinking *r, const struct vhd_list_item *item)
{
  return item->type == 0 ||
         (!r->given && item->code != VHD_OK && !is_lost(item) &&
          item->code != VHD_PARENT_TIMESTAMP);
}

static void
tell_stuck(struct relinking *r, const struct vhd_list_item *item)
{
  struct vhd_error why = { .code = item->code };

  if (!is_stuck(r, item))
    return;
  snprintf(why.message, sizeof why.message, "%s", item->message);
  tell(r, item->path, NULL, &why);
}

static int
make_room(struct relinking *r)
{
  const size_t room = 2 * r->room + 64;

  if (r->n < r->room)
    return 0;
  struct known *more = realloc(r->known, room * sizeof *more);
  if (more == NULL)
    return -ENOMEM;
  r->known = more;
  r->room = room;
  return 0;
}

static int
remember(void *opaque, const struct vhd_list_item *item)
{
  struct relinking *r = opaque;

  int e = finish(r, item->path);
  if (e == 0)
    tell_stuck(r, item);
  if (e != 0 || item->type == 0)
    return MIN(e, 0);
  char *path = make_room(r) == 0 ? strdup(item->path) : NULL;
  if (path == NULL)
    return vhd_fail_sys(r->err, ENOMEM, "%s", item->path);
  struct known *k = &r->known[r->n++];
  *k = (struct known){
    .path = path, .device = item->device, .inode = item->inode,
    .lost = !r->given && is_lost(item), .given = r->given,
  };
  memcpy(k->id, item->id_text, sizeof k->id);
  memcpy(k->parent_id, item->parent_id_text, sizeof k->parent_id);
  return progress_add(&r->progress, WORK, r->err);
}

static int
list(struct relinking *r, const char *path)
{
  const struct vhd_list_options opt = {
    .open = r->opt->open,
    .flags = r->opt->flags & VHD_RELINK_RECURSIVE ? VHD_LIST_RECURSIVE : 0,
  };

  return vhd_list(path, &opt, remember, r, r->err);
}

static int
remember_all(struct relinking *r, const char *const *path, size_t n,
             bool given)
{
  int e = 0;

  r->given = given;
  for (size_t i = 0; e == 0 && i < n; i++)
    e = list(r, path[i]);
  return e;
}

static bool
same_file(const struct known *a, const struct known *b)
{
  return a->device == b->device && a->inode == b->inode;
}

/* The one image that has the id; what was given goes first. */
static const struct known *
find_parent(const struct relinking *r, const struct known *child,
            struct vhd_error *why)
{
  const struct known *one = NULL, *other = NULL;

  for (size_t i = 0; i < r->n; i++) {
    const struct known *k = &r->known[i];
    if (strcmp(k->id, child->parent_id) != 0 || same_file(k, child) ||
        (one != NULL && k->given <= one->given && same_file(k, one)))
      continue;
    if (one == NULL || (k->given && !one->given)) {
      one = k;
      other = NULL;
    } else if (k->given == one->given) {
      other = k;
    }
  }
  if (one == NULL)
    vhd_fail(why, VHD_PARENT_MISSING, ENOENT,
             "%s: no image with the id of its parent, %s, is in these folders",
             child->path, child->parent_id);
  if (other != NULL)
    vhd_fail(why, VHD_STATE, EEXIST,
             "%s: both '%s' and '%s' have the id of its parent; say which with "
             "--parent", child->path, one->path, other->path);
  return other != NULL ? NULL : one;
}

static void
relink_one(struct relinking *r, const struct known *child)
{
  struct vhd_set_options set = { .open = r->opt->open };
  struct vhd_error why = { 0 };

  const struct known *parent = find_parent(r, child, &why);
  if (parent == NULL) {
    tell(r, child->path, NULL, &why);
    return;
  }
  set.parent = parent->path;
  if (!(r->opt->flags & VHD_RELINK_DRY_RUN) &&
      vhd_set(child->path, &set, &why) < 0)
    tell(r, child->path, parent->path, &why);
  else
    tell(r, child->path, parent->path, NULL);
}

static int
relink_all(struct relinking *r)
{
  int e = 0;

  for (size_t i = 0; e == 0 && i < r->n; i++) {
    bool again = false;
    if (!r->known[i].lost)
      continue;
    for (size_t k = 0; k < i && !again; k++)
      again = r->known[k].lost && same_file(&r->known[k], &r->known[i]);
    if (!again)
      relink_one(r, &r->known[i]);
    e = progress_add(&r->progress, WORK, r->err);
  }
  return e;
}

int
vhd_relink(const char *const *folders, size_t n,
           const struct vhd_relink_options *opt,
           void (*found)(void *opaque, const struct vhd_relink_item *item),
           void *opaque, struct vhd_relink_result *result,
           struct vhd_error *err)
{
  static const struct vhd_relink_options none;
  struct vhd_relink_result own;
  struct relinking r = { .opt = opt != NULL ? opt : &none, .found = found,
                         .opaque = opaque, .err = err };
  const char *path = n > 0 ? folders[0] : "";

  opt = r.opt;
  r.result = result != NULL ? result : &own;
  *r.result = (struct vhd_relink_result){ 0 };
  int e = vhd_check_flags(opt->flags, VHD_RELINK_RECURSIVE |
                          VHD_RELINK_DRY_RUN, path, err);
  if (e == 0)
    e = vhd_check_flags(opt->padding, 0, path, err);
  if (e == 0)
    e = CHECK_ROOM(opt, path, err);
  if (e == 0)
    e = vhd_check_open(&opt->open, 0, path, err);
  if (e == 0)
    e = progress_begin(&r.progress, &opt->progress, path, 0, err);
  if (e == 0)
    e = remember_all(&r, folders, n, false);
  if (e == 0)
    e = remember_all(&r, opt->parents, opt->nparents, true);
  if (e == 0)
    e = relink_all(&r);
  for (size_t i = 0; i < r.n; i++)
    free(r.known[i].path);
  free(r.known);
  return e;
}
