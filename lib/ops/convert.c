/* SPDX-License-Identifier: BSD-2-Clause */
/* convert.c: vhd_convert() and vhd_measure(): the content of a disk in a new
 * file of another kind, and how large that would be.  One thread a call.
 *
 * The source stays open, and so as it is, to the end.  The target is written
 * from its beginning to its end, without the request machine: nobody sees it
 * before it is complete, so that there is no order to be kept.  Of a dynamic
 * target the blocks lie in the order of the disk; each has all its bits set, as
 * programs that ignore the bitmap see it, and what of it is zeros is a hole of
 * the file. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "ops/blank.h"
#include "ops/children.h"
#include "ops/copy.h"
#include "ops/walk.h"
#include "store/newfile.h"
#include "vhdkit.h"

#define CONVERT_FLAGS \
  (VHD_CONVERT_FULL | VHD_CONVERT_OVERWRITE | VHD_CONVERT_AZURE)

/* What Azure takes: whole MiB, within these bounds. */
#define AZURE_UNIT ((uint64_t)1 << 20)
#define AZURE_LEAST ((uint64_t)20 << 20)
#define AZURE_MOST ((uint64_t)32 << 40)

/* How finely vhd_measure() looks at what becomes a flat file. */
#define FLAT_GRAIN 65536

struct target {
  struct copy_target to; /* first */
  struct newfile file;
  enum vhd_type type;
  uint64_t size;
  bool full;
  struct blank plan;     /* but for raw */
  /* Dynamic. */
  uint32_t *nth;         /* see blank_write_metadata() */
  uint32_t nused;
  uint8_t *ones;         /* a bitmap */
  uint8_t *zeros;        /* a block, where the target is full */
};

static void
close_image(struct vhd_image **image)
{
  vhd_close(*image, NULL); /* it was only read */
}

static void
free_target(struct target *t)
{
  newfile_close(&t->file);
  free(t->nth);
  free(t->ones);
  free(t->zeros);
}

/* ----------------------------------------------------------------- planning */

static int
choose_azure(struct target *t, const char *path,
             const struct vhd_convert_options *opt, struct vhd_error *err)
{
  if (opt->type != 0 && opt->type != VHD_FIXED)
    return vhd_fail(err, VHD_TYPE, EINVAL, "%s: Azure takes fixed images only",
                    path);
  t->type = VHD_FIXED;
  t->size = MAX(round_up(t->size, AZURE_UNIT), AZURE_LEAST);
  if (t->size > AZURE_MOST)
    return vhd_fail(err, VHD_LIMIT, EFBIG,
                    "%s: the disk has %" PRIu64 " bytes, and Azure takes no "
                    "more than 32 TiB", path, t->size);
  return 0;
}

/* What the target is to be.  source: size of that disk. */
static int
choose(struct target *t, const char *path,
       const struct vhd_convert_options *opt, uint64_t source,
       struct vhd_error *err)
{
  t->type = opt->type != 0 ? opt->type : VHD_DYNAMIC;
  t->full = opt->flags & VHD_CONVERT_FULL;
  t->size = round_up(opt->size != 0 ? opt->size : source, VHD_SECTOR_SIZE);
  if (t->type != VHD_FIXED && t->type != VHD_DYNAMIC && t->type != VHD_RAW)
    return vhd_fail(err, VHD_TYPE, EINVAL,
                    "%s: it can become fixed, dynamic or raw, not %d", path,
                    (int)t->type);
  if (opt->size != 0 && opt->size < source)
    return vhd_fail(err, VHD_SIZE, EINVAL,
                    "%s: a disk of %" PRIu64 " bytes does not fit into "
                    "%" PRIu64, path, source, opt->size);
  if (opt->flags & VHD_CONVERT_AZURE) {
    int r = choose_azure(t, path, opt, err);
    if (r < 0)
      return r;
  }
  if (t->type != VHD_DYNAMIC && opt->block_size != 0)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: only a dynamic image has blocks whose size could be "
                    "chosen", path);
  return 0;
}

static int
plan(struct target *t, const char *path, uint32_t block_size,
     struct vhd_error *err)
{
  int r = blank_check_size(path, t->type == VHD_DYNAMIC ? VHD_DYNAMIC
                                                        : VHD_FIXED,
                           t->size, err);
  if (r < 0 || t->type == VHD_RAW)
    return r;
  blank_plan_footer(&t->plan, t->type, t->size);
  if (t->type == VHD_FIXED) {
    t->plan.end = t->size;
    return 0;
  }
  return blank_plan_blocks(&t->plan, path, block_size, err);
}

static int
prepare(struct target *t, const char *path,
        const struct vhd_convert_options *opt, struct vhd_image *source,
        struct vhd_error *err)
{
  int r = choose(t, path, opt, vhd_size(source), err);

  return r < 0 ? r : plan(t, path, opt->block_size, err);
}

/* ------------------------------------------------------------------ writing */

static int
write_flat(struct copy_target *to, const void *buf, size_t len, uint64_t off,
           struct vhd_error *err)
{
  return newfile_write(&((struct target *)to)->file, buf, len, off, err);
}

/* A block that has data. */
static int
begin_block(struct target *t, uint32_t blk, struct vhd_error *err)
{
  const uint64_t off = blank_block(&t->plan, t->nused);

  t->nth[blk] = t->nused++;
  int r = newfile_write(&t->file, t->ones, t->plan.bitmap_len,
                        off - t->plan.bitmap_len, err);
  if (r == 0 && t->full)
    r = newfile_write(&t->file, t->zeros, t->plan.header.block_size, off, err);
  return r;
}

static int
write_dynamic(struct copy_target *to, const void *buf, size_t len,
              uint64_t off, struct vhd_error *err)
{
  struct target *t = (struct target *)to;
  const uint32_t block = t->plan.header.block_size;
  const uint8_t *p = buf;

  while (len > 0) {
    const uint32_t blk = (uint32_t)(off / block), at = (uint32_t)(off % block);
    const size_t n = MIN(len, block - at);
    int r = t->nth[blk] == BLANK_NO_BLOCK ? begin_block(t, blk, err) : 0;
    if (r == 0)
      r = newfile_write(&t->file, p, n,
                        blank_block(&t->plan, t->nth[blk]) + at, err);
    if (r < 0)
      return r;
    p += n;
    off += n;
    len -= n;
  }
  return 0;
}

static int
begin_dynamic(struct target *t, struct vhd_error *err)
{
  const uint32_t nblk = t->plan.nblk;

  t->to.write = write_dynamic;
  t->nth = malloc(nblk * sizeof *t->nth);
  t->ones = malloc(t->plan.bitmap_len);
  t->zeros = t->full ? calloc(1, t->plan.header.block_size) : NULL;
  if (t->nth == NULL || t->ones == NULL || (t->full && t->zeros == NULL))
    return vhd_fail_sys(err, ENOMEM, "%s", t->file.path);
  memset(t->nth, 0xff, nblk * sizeof *t->nth); /* BLANK_NO_BLOCK */
  memset(t->ones, 0xff, t->plan.bitmap_len);
  return 0;
}

/* The space of a flat target, or its end at least. */
static int
begin_flat(struct target *t, struct progress *progress, struct vhd_error *err)
{
  t->to.write = write_flat;
  if (t->full)
    return newfile_reserve(&t->file, t->size, progress, err);
  return newfile_resize(&t->file, t->size, err);
}

static int
write_target(struct target *t, struct vhd_image *source,
             struct progress *progress, struct vhd_error *err)
{
  int r = t->type == VHD_DYNAMIC ? begin_dynamic(t, err)
                                 : begin_flat(t, progress, err);

  if (r == 0)
    r = copy_disk(source, &t->to, progress, err);
  if (r < 0 || t->type == VHD_RAW)
    return r;
  if (t->type == VHD_DYNAMIC)
    blank_plan_end(&t->plan, t->nused);
  return blank_write_metadata(&t->plan, &t->file, t->nth, err);
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

int
vhd_convert(const char *path, const char *target,
            const struct vhd_convert_options *opt, struct vhd_error *err)
{
  static const struct vhd_convert_options defaults;
  __attribute__((cleanup(close_image))) struct vhd_image *source = NULL;
  __attribute__((cleanup(free_target))) struct target t = {
    .file = { .fd = -1, .dir = -1 },
  };
  struct progress progress;

  opt = opt != NULL ? opt : &defaults;
  int r = open_source(path, opt, &source, err);
  if (r == 0)
    r = prepare(&t, target, opt, source, err);
  if (r == 0)
    r = newfile_open(&t.file, target, opt->flags & VHD_CONVERT_OVERWRITE, err);
  if (r == 0 && t.file.old != NULL)
    r = children_refuse_loss(t.file.old, err);
  if (r == 0)
    r = progress_begin(&progress, &opt->progress, target,
                       vhd_size(source) +
                         (t.full && t.type != VHD_DYNAMIC ? t.size : 0), err);
  if (r == 0)
    r = write_target(&t, source, &progress, err);
  if (r == 0)
    r = progress_end(&progress, err);
  return r < 0 ? r : newfile_commit(&t.file, err);
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
