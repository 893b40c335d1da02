/* SPDX-License-Identifier: BSD-2-Clause */
/* convert.c: vhd_convert() and vhd_measure(): the content of a disk in a new
 * file of another kind, and how large that would be.  One thread a call.
 *
 * The source stays open, and so as it is, to the end. */
#include "config.h"

#include <errno.h>

#include "base/arith.h"
#include "base/error.h"
#include "ops/copy.h"
#include "ops/disk_target.h"
#include "ops/target.h"
#include "ops/walk.h"
#include "vhdkit.h"

#define CONVERT_FLAGS \
  (VHD_CONVERT_FULL | VHD_CONVERT_OVERWRITE | VHD_CONVERT_AZURE)

/* How finely vhd_measure() looks at what becomes a flat file. */
#define FLAT_GRAIN 65536

static void
close_image(struct vhd_image **image)
{
  vhd_close(*image, NULL); /* it was only read */
}

static int
prepare(struct target *t, const char *path,
        const struct vhd_convert_options *opt, struct vhd_image *source,
        struct vhd_error *err)
{
  const struct target_wish wish = {
    opt->type, opt->size, opt->block_size, opt->flags,
  };

  return target_prepare(t, path, &wish, vhd_size(source), err);
}

static int
write_target(struct target *t, struct vhd_image *source,
             struct progress *progress, struct vhd_error *err)
{
  int r = target_begin(t, progress, err);

  if (r == 0)
    r = copy_disk(source, &t->to, progress, err);
  return r < 0 ? r : target_end(t, err);
}

/* ------------------------------------------------------------------- public */

static int
open_source(const char *path, const struct vhd_convert_options *opt,
            struct vhd_image **source, struct vhd_error *err)
{
  int r = vhd_check_flags(opt->flags, CONVERT_FLAGS, path, err);
  if (r == 0)
    r = CHECK_ROOM(opt, path, err);
  return r < 0 ? r : walk_open(path, &opt->open, source, err);
}

static int
convert_to_file(struct vhd_image *source, const char *target,
                const struct vhd_convert_options *opt, struct vhd_error *err)
{
  __attribute__((cleanup(target_free))) struct target t = {
    .file = { .fd = -1, .dir = -1 },
  };
  struct progress progress;

  int r = prepare(&t, target, opt, source, err);
  if (r == 0)
    r = target_open(&t, target, opt->flags & VHD_CONVERT_OVERWRITE, err);
  if (r == 0)
    r = target_refuse_image(&t, source, err);
  if (r == 0)
    r = progress_begin(&progress, &opt->progress, target,
                       vhd_size(source) + target_work(&t), err);
  if (r == 0)
    r = write_target(&t, source, &progress, err);
  if (r == 0)
    r = progress_end(&progress, err);
  return r < 0 ? r : target_commit(&t, err);
}

static int
convert_to_disk(struct vhd_image *source, const char *target,
                const struct vhd_convert_options *opt, struct vhd_error *err)
{
  const uint64_t size = vhd_size(source);
  struct progress progress;
  struct disk_target t;

  if ((opt->type != 0 && opt->type != VHD_RAW) || opt->size != 0 ||
      opt->block_size != 0 || opt->flags & ~VHD_CONVERT_OVERWRITE)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: this disk has its size, and takes nothing but raw "
                    "content", target);
  int r = disk_target_begin(&t, opt->disk, target, size,
                            opt->flags & VHD_CONVERT_OVERWRITE, &progress, err);
  if (r == 0)
    r = progress_begin(&progress, &opt->progress, target, size, err);
  if (r == 0)
    r = copy_disk(source, &t.to, &progress, err);
  if (r == 0)
    r = disk_target_end(&t, err);
  return r < 0 ? r : progress_end(&progress, err);
}

int
vhd_convert(const char *path, const char *target,
            const struct vhd_convert_options *opt, struct vhd_error *err)
{
  static const struct vhd_convert_options defaults;
  __attribute__((cleanup(close_image))) struct vhd_image *source = NULL;

  opt = opt != NULL ? opt : &defaults;
  int r = open_source(path, opt, &source, err);
  if (r < 0)
    return r;
  return opt->disk != NULL ? convert_to_disk(source, target, opt, err)
                           : convert_to_file(source, target, opt, err);
}

/* Bytes of data, in whole blocks or grains, and how many these are. */
static int
count_data(const struct target *t, struct vhd_image *source, uint64_t *data,
           uint32_t *nused, struct progress *progress, struct vhd_error *err)
{
  const uint32_t block = t->type == VHD_DYNAMIC ? t->plan.header.block_size
                                                : FLAT_GRAIN;
  uint64_t counted = 0; /* up to here */
  struct piece piece;
  struct walk w;
  int r;

  walk_begin(&w, source, vhd_size(source));
  /* A piece with data can have holes of its file in it: so it is kept short. */
  while ((r = walk_next(&w, block - w.at % block, &piece, err)) > 0) {
    const uint64_t from = MAX(counted, round_down(w.at - piece.len, block));
    const uint64_t end = round_up(w.at, block);
    if (piece.file != NULL && end > from) {
      *data += end - from;
      *nused += (uint32_t)((end - from) / block);
      counted = end;
    }
    r = progress_add(progress, piece.len, err);
    if (r < 0)
      return r;
  }
  return r;
}

int
vhd_measure(const char *path, const struct vhd_convert_options *opt,
            struct vhd_measure_result *result, struct vhd_error *err)
{
  static const struct vhd_convert_options defaults;
  __attribute__((cleanup(close_image))) struct vhd_image *source = NULL;
  struct target t = { .size = 0 };
  struct progress progress;
  uint64_t data = 0;
  uint32_t nused = 0;

  opt = opt != NULL ? opt : &defaults;
  *result = (struct vhd_measure_result){ 0 };
  int r = open_source(path, opt, &source, err);
  if (r == 0)
    r = prepare(&t, path, opt, source, err);
  if (r == 0)
    r = progress_begin(&progress, &opt->progress, path, vhd_size(source), err);
  if (r == 0)
    r = count_data(&t, source, &data, &nused, &progress, err);
  if (r == 0)
    r = progress_end(&progress, err);
  if (r < 0)
    return r;
  const uint64_t footer = t.type == VHD_RAW ? 0 : VHD_SECTOR_SIZE;
  result->size = t.size;
  if (t.type == VHD_DYNAMIC) {
    blank_plan_end(&t.plan, t.plan.nblk);
    result->fully_allocated = t.plan.end + footer;
    blank_plan_end(&t.plan, nused);
    result->required = t.plan.end + footer;
  } else {
    result->fully_allocated = t.size + footer;
    result->required = t.full ? t.size + footer
                              : MIN(data, t.size) + footer;
  }
  return 0;
}
