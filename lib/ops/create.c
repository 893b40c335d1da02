/* SPDX-License-Identifier: BSD-2-Clause */
/* create.c: vhd_create(), new images of all three types.  One thread a call. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/progress.h"
#include "format/footer.h"
#include "format/header.h"
#include "image/image.h"
#include "image/parent_time.h"
#include "ops/blank.h"
#include "ops/children.h"
#include "ops/content.h"
#include "ops/create.h"
#include "ops/parent_ref.h"
#include "ops/settle.h"
#include "store/newfile.h"
#include "vhdkit.h"

#define CREATE_FLAGS \
  (VHD_CREATE_FULL | VHD_CREATE_OVERWRITE | VHD_CREATE_ABSOLUTE)

static void
close_image(struct vhd_image **image)
{
  /* It was only read: there is nothing that could be lost. */
  vhd_close(*image, NULL);
}

static void
free_newfile(struct newfile *file)
{
  newfile_close(file);
}

/* ----------------------------------------------------------------- planning */

static int
check_options(const char *path, const struct vhd_create_options *opt,
              enum vhd_type *type, struct vhd_error *err)
{
  *type = opt->type;
  if (opt->type == 0)
    *type = opt->parent != NULL ? VHD_DIFFERENCING : VHD_DYNAMIC;

  if (*type != VHD_FIXED && *type != VHD_DYNAMIC && *type != VHD_DIFFERENCING)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL, "%s: %d is no type of image",
                    path, (int)*type);
  if (*type == VHD_DIFFERENCING && opt->parent == NULL)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: a differencing image needs a parent", path);
  if (*type != VHD_DIFFERENCING && opt->parent != NULL)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: only a differencing image has a parent", path);
  if (*type == VHD_FIXED && opt->block_size != 0)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: a fixed image has no blocks whose size could be "
                    "chosen", path);
  if (opt->size == 0 && opt->parent == NULL)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: it needs a size above 0", path);
  return 0;
}

/* A child that is as large as its parent is so too for those who take the size
 * from the geometry, which programs compute in different ways. */
static void
inherit_geometry(struct footer *footer, const struct vhd_info *parent)
{
  if (parent->size != footer->current_size || parent->geometry_size == 0)
    return;
  footer->cylinders = (uint16_t)parent->cylinders;
  footer->heads = (uint8_t)parent->heads;
  footer->sectors = (uint8_t)parent->sectors_per_track;
}

static int
make_plan(struct blank *plan, const char *path,
          const struct vhd_create_options *opt, struct vhd_image *parent,
          struct vhd_error *err)
{
  enum vhd_type type;
  struct vhd_info info;
  uint64_t size = opt->size;
  uint32_t block_size = opt->block_size;

  int r = check_options(path, opt, &type, err);
  if (r < 0)
    return r;
  if (parent != NULL) {
    vhd_get_info(parent, &info);
    if (info.depth >= VHD_MAX_DEPTH)
      return vhd_fail(err, VHD_ARGUMENT, ELOOP,
                      "%s: the parent has %u ancestors itself; a chain of more "
                      "than %d would not be opened", path, info.depth,
                      VHD_MAX_DEPTH);
    if (size == 0)
      size = info.size;
    if (block_size == 0)
      block_size = info.block_size;
    r = parent_ref_make(&plan->parent, path, opt->parent, &info,
                        opt->flags & VHD_CREATE_ABSOLUTE ? 0 : REF_RELATIVE,
                        err);
    if (r < 0)
      return r;
  }
  r = blank_check_size(path, type, size, err);
  if (r < 0)
    return r;

  plan->full = opt->flags & VHD_CREATE_FULL;
  blank_plan_footer(plan, type, size);
  if (parent != NULL)
    inherit_geometry(&plan->footer, &info);
  if (type == VHD_FIXED) {
    plan->end = size;
    return 0;
  }
  return blank_plan_blocks(plan, path, block_size, err);
}

/* ------------------------------------------------------------------ writing */

/* Every block of a full dynamic disk is written, with zeros.  Those of a
 * child stay clear: there its parent shows through. */
static bool
has_full_bitmaps(const struct blank *plan)
{
  return plan->full && plan->footer.type == VHD_DYNAMIC;
}

/* What of the work is worth a bar. */
static uint64_t
work_of(const struct blank *plan)
{
  uint64_t work = plan->full ? plan->end + FOOTER_SIZE : 0;

  if (has_full_bitmaps(plan))
    work += (uint64_t)plan->nblk * plan->bitmap_len;
  return work;
}

static int
write_bitmaps(const struct blank *plan, struct newfile *file,
              struct progress *progress, struct vhd_error *err)
{
  CLEANUP_FREE uint8_t *ones = malloc(plan->bitmap_len);

  if (ones == NULL)
    return vhd_fail_sys(err, ENOMEM, "%s", file->path);
  memset(ones, 0xff, plan->bitmap_len);
  for (uint32_t blk = 0; blk < plan->nblk; blk++) {
    int r = newfile_write(file, ones, plan->bitmap_len,
                          plan->first + blk * plan->stride - plan->bitmap_len,
                          err);
    if (r == 0)
      r = progress_add(progress, plan->bitmap_len, err);
    if (r < 0)
      return r;
  }
  return 0;
}

static int
write_image(const struct blank *plan, const struct content *content,
            struct newfile *file, struct progress *progress,
            struct vhd_error *err)
{
  int r = 0;

  if (plan->full)
    r = newfile_reserve(file, plan->end + FOOTER_SIZE, progress, err);
  if (r == 0)
    r = blank_write_metadata(plan, file, content->nth, err);
  if (r == 0 && plan->footer.type != VHD_FIXED)
    r = parent_ref_write(&plan->parent, file, err);
  if (r == 0 && has_full_bitmaps(plan))
    r = write_bitmaps(plan, file, progress, err);
  return r < 0 ? r : content_write(content, plan, file, err);
}

/* The file takes the place of another, or must not. */
static int
open_file(struct newfile *file, const char *path, uint32_t flags, bool over,
          struct vhd_error *err)
{
  if (over)
    return newfile_open_over(file, path, err);
  int r = newfile_open(file, path, flags & VHD_CREATE_OVERWRITE, err);
  return r == 0 && file->old != NULL ? children_refuse_loss(file->old, err)
                                     : r;
}

static int
create(const char *path, const struct vhd_create_options *opt, bool over,
       struct vhd_error *err)
{
  /* The parent stays open, and so as it is, until its child is there. */
  __attribute__((cleanup(close_image))) struct vhd_image *parent = NULL;
  __attribute__((cleanup(free_newfile))) struct newfile file = {
    .fd = -1, .dir = -1,
  };
  __attribute__((cleanup(content_free))) struct content content = {
    .part = opt->content, .n = opt->ncontent,
  };
  struct blank plan = { 0 };
  struct progress progress;

  int r = vhd_check_flags(opt->flags, CREATE_FLAGS, path, err);
  if (r == 0)
    r = CHECK_ROOM(opt, path, err);
  if (r < 0)
    return r;
  if (opt->parent != NULL) {
    const struct vhd_open_options open = {
      .roots = opt->roots, .nroots = opt->nroots,
    };
    r = settle_open_parent(opt->parent, &open, &parent, err);
    if (r < 0)
      return r;
  }
  r = make_plan(&plan, path, opt, parent, err);
  if (r == 0)
    r = content_plan(&content, &plan, path, err);
  if (r < 0)
    return r;
  r = open_file(&file, path, opt->flags, over, err);
  if (r < 0)
    return r;
  r = progress_begin(&progress, &opt->progress, path, work_of(&plan), err);
  if (r == 0)
    r = write_image(&plan, &content, &file, &progress, err);
  if (r == 0)
    r = progress_end(&progress, err);
  if (r < 0)
    return r;
  if (parent)
    parent_time_outlast(parent->top, file.fd);
  return newfile_commit(&file, err);
}

int
vhd_create(const char *path, const struct vhd_create_options *opt,
           struct vhd_error *err)
{
  int r = blank_check_name(path, err);

  return r < 0 ? r : create(path, opt, false, err);
}

int
create_over_parent(const char *path, const struct vhd_create_options *opt,
                   struct vhd_error *err)
{
  return create(path, opt, true, err);
}
