/* SPDX-License-Identifier: BSD-2-Clause */
/* resize.c: vhd_resize(), another size for the disk of an image.
 *
 * First, with the image opened, all that may be done while it keeps its size:
 * what stands in the way of a longer table is moved, what lies behind a new end
 * is proved to be zeros and dropped, and the rest of the last block is wiped.
 * Then, with the file alone, which stays locked, all that tells of its size is
 * changed in one step (resize_file.c).  So the image is as before until that
 * step, though the file may be longer; and the next call goes on. */
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
#include "image/place.h"
#include "ops/blank.h"
#include "ops/inplace.h"
#include "ops/resize.h"

#define RESIZE_FLAGS \
  (VHD_RESIZE_SHRINK | VHD_RESIZE_FULL | VHD_RESIZE_CHILDREN)
/* So much of a disk is looked at between two reports. */
#define LOOK_BYTES (16ULL << 20)

struct resizing {
  struct vhd_image *image;
  struct layer *top;
  uint64_t size, old_size;
  uint32_t flags;
  struct progress progress;
  uint8_t *buf; /* INPLACE_CHUNK */
  struct vhd_error *err;
};

static int
fail(struct resizing *r, int e)
{
  return e < 0 ? vhd_fail_sys(r->err, -e, "%s", r->top->path) : 0;
}

/* ----------------------------------------------------------------- refusing */

struct child_search {
  const char *path;
  struct vhd_error *err;
};

static int
refuse_child(void *opaque, const char *child)
{
  const struct child_search *s = opaque;

  return vhd_fail(s->err, VHD_STATE, EBUSY,
                  "%s: it is the parent of '%s', which other programs may "
                  "not open any more when it has another size; allow that "
                  "with --with-children", s->path, child);
}

static int
refuse_children(struct resizing *r)
{
  struct child_search search = { r->top->path, r->err };

  if (r->flags & VHD_RESIZE_CHILDREN)
    return 0;
  int e = vhd_find_children(r->image, NULL, UINT_MAX, refuse_child, &search);
  return e == -EBUSY ? e : fail(r, e);
}

/* What lies past the end would come to light, or be lost. */
static int
refuse_spare(struct resizing *r)
{
  const struct layout *l = &r->top->layout;

  if (r->top->fixed || (!l->beyond && l->nspare == 0))
    return 0;
  return vhd_fail(r->err, VHD_STATE, EINVAL,
                  "%s: its block table leads to blocks past the end of the "
                  "disk, which was larger once; copy the disk into a new "
                  "image of the size that is wanted", r->top->path);
}

static int
refuse(struct resizing *r)
{
  const enum vhd_type type = r->top->footer.type;

  int e = blank_check_size(r->top->path, type, r->size, r->err);
  if (e == 0 && r->size == 0)
    e = vhd_fail(r->err, VHD_ARGUMENT, EINVAL, "%s: a disk has a size above 0",
                 r->top->path);
  if (e == 0 && r->size < r->old_size && !(r->flags & VHD_RESIZE_SHRINK))
    e = vhd_fail(r->err, VHD_STATE, EINVAL,
                 "%s: the disk has %" PRIu64 " bytes and would become "
                 "smaller; allow that with --shrink", r->top->path,
                 r->old_size);
  if (e == 0 && type != VHD_FIXED && r->flags & VHD_RESIZE_FULL)
    e = vhd_fail(r->err, VHD_ARGUMENT, EINVAL,
                 "%s: only a fixed image has all of its space set aside",
                 r->top->path);
  if (e == 0)
    e = refuse_spare(r);
  return e < 0 ? e : refuse_children(r);
}

/* ------------------------------------------------------------------ proving */

/* Do these bytes of a disk read as zeros?  1 or 0, or -errno with the error
 * set. */
static int
look(struct resizing *r, struct vhd_image *disk, uint64_t from, uint64_t end)
{
  int e = 1;

  for (uint64_t n; e == 1 && from < end; from += n) {
    n = MIN(end - from, LOOK_BYTES);
    e = inplace_disk_is_zero(disk, from, n, r->buf);
    if (e < 0)
      return fail(r, e);
    int told = progress_add(&r->progress, n, r->err);
    if (told < 0)
      return told;
  }
  return e;
}

static int
prove_tail_zero(struct resizing *r)
{
  r->progress.total += r->old_size - r->size;
  int e = look(r, r->image, r->size, r->old_size);
  if (e != 0)
    return MIN(e, 0);
  return vhd_fail(r->err, VHD_STATE, EINVAL,
                  "%s: the disk holds data behind %" PRIu64 ", which would be "
                  "lost; trim or zero what is not wanted there first",
                  r->top->path, r->size);
}

/* A child ends where its parent goes on. */
static int
prove_parent_zero(struct resizing *r)
{
  struct vhd_image *parent = vhd_parent(r->image);

  if (parent == NULL || vhd_size(parent) <= r->old_size)
    return 0;
  const uint64_t end = MIN(vhd_size(parent), r->size);
  r->progress.total += end - r->old_size;
  int e = look(r, parent, r->old_size, end);
  if (e != 0)
    return MIN(e, 0);
  return vhd_fail(r->err, VHD_PARENT_SIZE, EINVAL,
                  "%s: its parent is larger, and holds data behind the end of "
                  "this disk that would come to light in the part that is to "
                  "be new", r->top->path);
}

/* ---------------------------------------------------------------- preparing */

/* What of a disk's last block lies behind its end becomes part of the disk, or
 * may do so one day. */
static int
wipe_behind(struct resizing *r, uint64_t end)
{
  struct layer *top = r->top;
  const uint64_t bs = 1ULL << top->block_shift, in = end & (bs - 1);
  const uint32_t blk = (uint32_t)(end >> top->block_shift);

  if (in == 0 || layer_slot(top, blk) == NO_SLOT)
    return 0;
  int e = 0;
  /* With something else right behind it. */
  if (layer_slot(top, blk) == r->image->space.short_slot) {
    e = place_move_behind(r->image, blk, 0);
    if (e == 0)
      e = place_settle(r->image);
  }
  if (e == 0)
    e = file_do(top->file, VHD_IO_PUNCH,
                slot_data_off(top, layer_slot(top, blk)) + in, bs - in, 0);
  atomic_fetch_add(&r->image->write_seq, 1);
  return fail(r, e);
}

/* In a child they may hide what its parent holds there, and go with the size
 * (resize_file.c). */
static int
drop_behind(struct resizing *r)
{
  const struct layer *top = r->top;
  uint32_t blk = (uint32_t)DIV_ROUND_UP(r->size, 1ULL << top->block_shift);
  int e = 0;

  if (vhd_parent(r->image) != NULL && RULE(HIDING_LAST))
    return 0;
  for (; e == 0 && (blk = bat_next(&top->bat, blk, top->nblk)) < top->nblk;
       blk++)
    e = place_drop(r->image, blk);
  return fail(r, e);
}

/* What cannot be moved: the dynamic header of a file that has it behind its
 * table. */
static int
refuse_header_in_way(struct resizing *r, const struct table_plan *plan)
{
  const uint64_t off = r->top->footer.data_offset;

  if (off + HEADER_SIZE <= plan->from || off >= plan->way_end)
    return 0;
  return vhd_fail(r->err, VHD_LIMIT, ENOTSUP,
                  "%s: the dynamic header lies at %" PRIu64 ", where the "
                  "longer block table would", r->top->path, off);
}

static bool
in_way(const struct resizing *r, const struct table_plan *plan, uint32_t slot)
{
  const uint64_t off = slot * 512ULL;

  return off < plan->way_end &&
         off + r->image->space.slot_sec * 512ULL > plan->from;
}

static int
clear_way(struct resizing *r)
{
  const struct layer *top = r->top;
  struct table_plan plan;
  int e;

  resize_plan_table(&top->layout, r->size, &plan);
  if (plan.way_end <= plan.from)
    return 0;
  e = refuse_header_in_way(r, &plan);
  for (uint32_t blk = 0;
       e == 0 && (blk = bat_next(&top->bat, blk, top->nblk)) < top->nblk;
       blk++) {
    if (!in_way(r, &plan, layer_slot(top, blk)))
      continue;
    r->progress.total += 1ULL << top->block_shift;
    e = fail(r, place_move_behind(r->image, blk,
                                  DIV_ROUND_UP(plan.way_end, 512)));
    if (e == 0)
      e = progress_add(&r->progress, 1ULL << top->block_shift, r->err);
  }
  return e;
}

static int
prepare(struct resizing *r)
{
  const bool shrink = r->size < r->old_size;

  int e = refuse(r);
  if (e < 0)
    return e;
  r->buf = malloc(INPLACE_CHUNK);
  if (r->buf == NULL)
    return fail(r, -ENOMEM);
  e = shrink ? prove_tail_zero(r) : prove_parent_zero(r);
  if (e == 0 && !r->top->fixed)
    e = wipe_behind(r, MIN(r->size, r->old_size));
  if (e == 0 && !r->top->fixed)
    e = shrink ? drop_behind(r) : clear_way(r);
  free(r->buf);
  if (e == 0)
    e = progress_end(&r->progress, r->err);
  return e;
}

/* --------------------------------------------------------------------- all */

static int
check_options(const char *path, const struct vhd_resize_options *opt,
              struct vhd_error *err)
{
  int e = vhd_check_flags(opt->flags, RESIZE_FLAGS, path, err);
  if (e == 0)
    e = vhd_check_flags(opt->padding, 0, path, err);
  if (e == 0)
    e = CHECK_ROOM(opt, path, err);
  if (e == 0 && opt->open.flags & VHD_OPEN_SIZE_CHS)
    e = vhd_fail(err, VHD_ARGUMENT, EINVAL,
                 "%s: the size that is changed is the one that its footer "
                 "says, not the geometry's", path);
  return e;
}

/* What the end of the file has too much goes when the image is closed.  Nothing
 * else depends on it. */
static void
cut_end(const char *path, const struct vhd_open_options *opt)
{
  struct inplace in;

  if (inplace_begin(path, opt, &in, NULL) < 0)
    return;
  inplace_keep_time(&in);
  in.image->space.touched = true;
  inplace_close(&in, 0, true, NULL);
}

int
vhd_resize(const char *path, uint64_t size,
           const struct vhd_resize_options *opt, struct vhd_error *err)
{
  static const struct vhd_resize_options none;
  struct inplace in;
  struct edit edit;

  if (opt == NULL)
    opt = &none;
  struct resizing r = { .size = size, .flags = opt->flags, .err = err };
  int e = check_options(path, opt, err);
  if (e == 0)
    e = inplace_open(path, &opt->open, "resized", &in, err);
  if (e < 0)
    return e;
  inplace_keep_time(&in);
  r.image = in.image;
  r.top = in.image->top;
  r.old_size = r.top->size;
  const struct resize_file change = {
    .path = path, .size = size, .full = opt->flags & VHD_RESIZE_FULL,
    .keep_time = opt->flags & VHD_RESIZE_CHILDREN,
  };
  e = progress_begin(&r.progress, &opt->progress, path, 0, err);
  if (e == 0)
    e = prepare(&r);
  const bool cut = size < r.old_size && vhd_parent(r.image) != NULL;
  if (e < 0 || size == r.old_size)
    return inplace_close(&in, e, true, err);
  e = edit_take(&edit, in.image, err);
  if (e == 0)
    e = resize_change_file(&edit, &change, err);
  if (e == 0 && cut)
    cut_end(path, &opt->open);
  return e;
}
