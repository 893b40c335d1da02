/* SPDX-License-Identifier: BSD-2-Clause */
/* list.c: vhd_list(), the images of a folder, each with its parent.
 *
 * Of each file the head is read, without a lock, and of a child its parent is
 * looked for as opening it would, but no further: what is told of the parent is
 * told where that is listed itself.  One thread a call. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "image/chain.h"
#include "image/parent_time.h"
#include "store/folder.h"
#include "store/host.h"
#include "store/lock.h"
#include "store/newfile.h"

/* Folders in folders: each holds a descriptor while what is in it is listed. */
#define DEPTH_MAX 64

struct listing {
  struct vhd_open_options open;
  const struct vhd_list_options *opt;
  int (*found)(void *opaque, const struct vhd_list_item *item);
  void *opaque;
  struct chain chain;
  struct vhd_error why;
  char changed[1024];
  char holder[128];
  unsigned depth;
};

static void
fill_place(struct vhd_list_item *item, const struct layer *l)
{
  item->device = l->file->dev;
  item->inode = l->file->ino;
  if (file_allocated(l->file, &item->actual_size) < 0)
    item->actual_size = 0;
}

static void
fill_holder(struct listing *list, struct vhd_list_item *item,
            const struct layer *l)
{
  item->held = lock_look(l->file->fd);
  if (item->held == VHD_HELD_BY_NOBODY)
    return;
  host_holder(l->file->fd, list->holder, sizeof list->holder);
  item->holder = list->holder;
}

static void
fill_image(struct listing *list, struct vhd_list_item *item,
           const struct layer *l)
{
  item->format = l->format;
  item->type = l->type;
  item->size = l->size;
  item->file_size = l->layout.file_size;
  layer_id_text(l, item->id_text);
  fill_place(item, l);
  fill_holder(list, item, l);
  if (item->type != VHD_DIFFERENCING)
    return;
  layer_parent_id_text(l, item->parent_id_text);
  item->parent_name = l->parent_name;
}

static void
fill_parent(struct listing *list, struct vhd_list_item *item)
{
  const struct layer *child = list->chain.layer[0];
  const struct layer *parent = list->chain.layer[1];

  item->parent = parent->path;
  item->parent_device = parent->file->dev;
  item->parent_inode = parent->file->ino;
  if (parent_time(child, parent, list->changed, sizeof list->changed) ==
      PARENT_AS_RECORDED)
    return;
  item->code = VHD_PARENT_TIMESTAMP;
  item->message = list->changed;
}

static bool
is_no_vhd(const struct vhd_error *why)
{
  return why->code == VHD_FOOTER_MISSING || why->code == VHD_FORMAT_UNKNOWN;
}

/* Since its folder was read. */
static bool
is_gone(const struct vhd_error *why)
{
  return why->code == VHD_SYSTEM && why->sys == ENOENT;
}

/* What is still being made, or written down beside an image. */
static bool
is_by_the_way(const char *path)
{
  const size_t len = strlen(path), end = strlen(COMPANION_SUFFIX);

  return newfile_is_temporary(folder_last_name(path)) ||
         (len >= end && strcmp(path + len - end, COMPANION_SUFFIX) == 0);
}

/* One file. */
static int
list_file(struct listing *list, const char *path, bool named)
{
  struct chain *c = &list->chain;
  struct vhd_list_item item = { .path = path };

  list->why = (struct vhd_error){ 0 };
  int e = chain_begin(c, path, &list->open, &list->why);
  if (e == 0) {
    fill_image(list, &item, c->layer[0]);
    do
      e = chain_step(c, &list->why);
    while (e == 1 && c->n == 1);
    if (c->n > 1)
      fill_parent(list, &item);
  } else if (!named && (is_no_vhd(&list->why) || is_gone(&list->why))) {
    chain_end(c);
    return 0;
  }
  if (e < 0) {
    item.code = list->why.code;
    item.message = list->why.message;
  }
  e = list->found(list->opaque, &item);
  chain_end(c);
  return e;
}

static int
list_found(void *opaque, const char *path)
{
  return is_by_the_way(path) ? 0 : list_file(opaque, path, false);
}

static int list_folder(void *opaque, const char *path);

/* A folder that cannot be read hides nothing but what is in it. */
static int
fail_folder(struct listing *list, const char *path, int e)
{
  struct vhd_list_item item = { .path = path, .code = VHD_SYSTEM };

  vhd_fail_sys(&list->why, -e, "%s", path);
  item.message = list->why.message;
  return list->found(list->opaque, &item);
}

/* What the caller's function returned must not be taken for why a folder could
 * not be read. */
static int
list_folder(void *opaque, const char *path)
{
  struct listing *list = opaque;

  int e = folder_look(path);
  if (e < 0)
    return fail_folder(list, path, e);
  e = folder_each(path, UINT_MAX, list_found, list);
  if (e != 0 || !(list->opt->flags & VHD_LIST_RECURSIVE))
    return e;
  if (list->depth >= DEPTH_MAX)
    return fail_folder(list, path, -ELOOP);
  list->depth++;
  e = folder_each_folder(path, list_folder, list);
  list->depth--;
  return e;
}

int
vhd_list(const char *path, const struct vhd_list_options *opt,
         int (*found)(void *opaque, const struct vhd_list_item *item),
         void *opaque, struct vhd_error *err)
{
  static const struct vhd_list_options none;
  CLEANUP_FREE struct listing *list = calloc(1, sizeof *list);

  opt = opt != NULL ? opt : &none;
  if (list == NULL)
    return vhd_fail_sys(err, ENOMEM, "%s", path);
  *list = (struct listing){ .open = opt->open, .opt = opt, .found = found,
                            .opaque = opaque };
  int e = vhd_check_flags(opt->flags, VHD_LIST_RECURSIVE, path, err);
  if (e == 0)
    e = vhd_check_flags(opt->padding, 0, path, err);
  if (e == 0)
    e = CHECK_ROOM(opt, path, err);
  if (e == 0)
    e = vhd_check_open(&opt->open, 0, path, err);
  if (e < 0)
    return e;
  list->open.flags = VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED | LAYER_HEAD;
  e = folder_look(path);
  if (e == -ENOTDIR)
    return list_file(list, path, true);
  if (e == -ENOENT)
    return vhd_fail_sys(err, ENOENT, "%s", path);
  if (opt->open.nroots == 0) {
    list->open.roots = &path;
    list->open.nroots = 1;
  }
  return list_folder(list, path);
}
