/* SPDX-License-Identifier: BSD-2-Clause */
/* snapshot.c: vhd_snapshot() and vhd_revert().  One thread a call.
 *
 * A snapshot gives the image a second name, then puts a new child of it in the
 * place of the first, by one rename.  So there is an image of the first name at
 * each moment, which reads the same; what is left by one who is killed between
 * the two is a second name, which does no harm, and with which the same command
 * goes on.
 *
 * To revert is to put an empty child of the same parent in the place of a
 * child, by one rename. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "ops/chain_options.h"
#include "ops/create.h"
#include "ops/parent_ref.h"
#include "store/names.h"
#include "vhdkit.h"

static int
refuse_parent(void *opaque, const char *path)
{
  struct vhd_error *err = opaque;

  return vhd_fail(err, VHD_STATE, EBUSY, "%s", path);
}

/* Its children would look for it by the name that is going to be another
 * image's. */
static int
check_childless(const char *path, const struct vhd_open_options *opt,
                struct vhd_error *err)
{
  struct vhd_open_options open = *opt;
  struct vhd_error why = { 0 };
  struct vhd_image *image;
  struct vhd_info info;

  open.flags |= VHD_OPEN_READONLY;
  int r = vhd_open(path, &open, &image, err);
  if (r < 0)
    return r;
  vhd_get_info(image, &info);
  r = parent_ref_check(path, &info, err);
  if (r < 0) {
    vhd_close(image, NULL);
    return r;
  }
  r = vhd_find_children(image, NULL, UINT_MAX, refuse_parent, &why);
  vhd_close(image, NULL);
  if (r == -EBUSY)
    return vhd_fail(err, VHD_STATE, EBUSY,
                    "%s: it is the parent of '%s', which must find it by this "
                    "name: it cannot go on to be written to under it; make a "
                    "child of another name", path, why.message);
  return r < 0 ? vhd_fail_sys(err, -r, "%s: cannot look for its children",
                              path) : 0;
}

int
vhd_snapshot(const char *path, const char *frozen,
             const struct vhd_chain_options *opt, struct vhd_error *err)
{
  static const struct vhd_chain_options defaults;

  opt = opt ? opt : &defaults;
  int r = chain_check_options(opt, 0, path, err);
  if (r == 0)
    r = check_childless(path, &opt->open, err);
  if (r == 0)
    r = names_add(path, frozen, err);
  if (r < 0)
    return r;
  const bool new_name = r == 1;
  struct vhd_create_options child = {
    .parent = frozen,
    .roots = opt->open.roots,
    .nroots = opt->open.nroots,
  };
  r = create_over_parent(path, &child, err);
  if (r < 0 && new_name && names_same(path, frozen))
    names_remove(frozen, NULL);
  return r;
}

/* ------------------------------------------------------------------- revert */

/* What the new child has of the old one. */
struct old_child {
  char *parent;
  uint64_t size;
  uint32_t block_size;
  bool absolute;
};

/* Does it say by a relative path where its parent lies? */
static bool
has_relative_path(struct vhd_image *image)
{
  CLEANUP_FREE struct vhd_locator *locator = malloc(sizeof *locator);

  for (unsigned i = 0; locator && i < VHD_MAX_LOCATORS; i++)
    if (vhd_get_locator(image, i, locator) == 0 && locator->relative)
      return true;
  return false;
}

static int
look_at_child(const char *path, const struct vhd_open_options *opt,
              struct old_child *old, struct vhd_error *err)
{
  struct vhd_open_options open = *opt;
  struct vhd_image *image;
  struct vhd_info info;

  open.flags |= VHD_OPEN_READONLY;
  int r = vhd_open(path, &open, &image, err);
  if (r < 0)
    return r;
  vhd_get_info(image, &info);
  old->size = info.size;
  old->block_size = info.block_size;
  old->absolute = !has_relative_path(image);
  if (!vhd_parent(image)) {
    r = vhd_fail(err, VHD_ARGUMENT, EINVAL,
                 "%s: it has no parent whose content it could go back to",
                 path);
  } else {
    vhd_get_info(vhd_parent(image), &info);
    old->parent = strdup(info.path);
    if (info.type == VHD_RAW)
      r = vhd_fail(err, VHD_ARGUMENT, EINVAL,
                   "%s: its parent '%s' is a raw file, of which no child can "
                   "be made", path, info.path);
    else if (!old->parent)
      r = vhd_fail_sys(err, ENOMEM, "%s", path);
  }
  vhd_close(image, NULL);
  return r;
}

int
vhd_revert(const char *path, const struct vhd_chain_options *opt,
           struct vhd_error *err)
{
  static const struct vhd_chain_options defaults;
  struct old_child old = { 0 };

  opt = opt ? opt : &defaults;
  int r = chain_check_options(opt, 0, path, err);
  if (r == 0)
    r = look_at_child(path, &opt->open, &old, err);
  if (r == 0) {
    struct vhd_create_options child = {
      .parent = old.parent,
      .size = old.size,
      .block_size = old.block_size,
      .flags = VHD_CREATE_OVERWRITE |
               (old.absolute ? VHD_CREATE_ABSOLUTE : 0),
      .roots = opt->open.roots,
      .nroots = opt->open.nroots,
    };
    r = vhd_create(path, &child, err);
  }
  free(old.parent);
  return r;
}
