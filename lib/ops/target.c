/* SPDX-License-Identifier: BSD-2-Clause */
/* target.c: see target.h.
 *
 * The file is written without the request machine: nobody sees it before it is
 * complete, so that there is no order to be kept.  Of a dynamic target the
 * blocks lie in the order of the disk; each has all its bits set, as programs
 * that ignore the bitmap see it, and what of it is zeros is a hole of the
 * file. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/error.h"
#include "image/image.h"
#include "ops/children.h"
#include "ops/target.h"

/* What Azure takes: whole MiB, within these bounds. */
#define AZURE_UNIT ((uint64_t)1 << 20)
#define AZURE_LEAST ((uint64_t)20 << 20)
#define AZURE_MOST ((uint64_t)32 << 40)

/* ----------------------------------------------------------------- planning */

static int
choose_azure(struct target *t, const char *path,
             const struct target_wish *wish, struct vhd_error *err)
{
  if (wish->type != 0 && wish->type != VHD_FIXED)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: Azure takes fixed images only", path);
  t->type = VHD_FIXED;
  t->size = MAX(round_up(t->size, AZURE_UNIT), AZURE_LEAST);
  if (t->size > AZURE_MOST)
    return vhd_fail(err, VHD_ARGUMENT, EFBIG,
                    "%s: the disk has %" PRIu64 " bytes, and Azure takes no "
                    "more than 32 TiB", path, t->size);
  return 0;
}

/* What the target is to be.  source: size of that disk. */
static int
choose(struct target *t, const char *path, const struct target_wish *wish,
       uint64_t source, struct vhd_error *err)
{
  t->type = wish->type != 0 ? wish->type : VHD_DYNAMIC;
  t->full = wish->flags & VHD_CONVERT_FULL;
  t->size = round_up(wish->size != 0 ? wish->size : source, VHD_SECTOR_SIZE);
  if (t->type != VHD_FIXED && t->type != VHD_DYNAMIC && t->type != VHD_RAW)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: it can become fixed, dynamic or raw, not %d", path,
                    (int)t->type);
  if (wish->size != 0 && wish->size < source)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: a disk of %" PRIu64 " bytes does not fit into "
                    "%" PRIu64, path, source, wish->size);
  if (wish->flags & VHD_CONVERT_AZURE) {
    int r = choose_azure(t, path, wish, err);
    if (r < 0)
      return r;
  }
  if (t->type != VHD_DYNAMIC && wish->block_size != 0)
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

int
target_prepare(struct target *t, const char *path,
               const struct target_wish *wish, uint64_t source,
               struct vhd_error *err)
{
  *t = (struct target){ .file = { .fd = -1, .dir = -1 } };
  int r = choose(t, path, wish, source, err);

  return r < 0 ? r : plan(t, path, wish->block_size, err);
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

/* ---------------------------------------------------------------- the file */

int
target_open(struct target *t, const char *path, bool overwrite,
            struct vhd_error *err)
{
  int r = t->type == VHD_RAW ? 0 : blank_check_name(path, err);

  if (r == 0)
    r = newfile_open(&t->file, path, overwrite, err);
  if (r == 0 && t->file.old != NULL)
    r = children_refuse_loss(t->file.old, err);
  return r;
}

int
target_refuse_file(const struct target *t, const struct vhd_file *file,
                   struct vhd_error *err)
{
  if (t->file.old == NULL || !file_same(t->file.old, file))
    return 0;
  return vhd_fail(err, VHD_STATE, EBUSY,
                  "%s: this file is part of what is being read, and would be "
                  "replaced; give the new one another name", t->file.path);
}

int
target_refuse_image(const struct target *t, const struct vhd_image *image,
                    struct vhd_error *err)
{
  const struct layers *layers =
    image != NULL ? atomic_load(&image->layers) : NULL;
  int r = 0;

  for (unsigned i = 0; r == 0 && layers != NULL && i < layers->n; i++)
    r = target_refuse_file(t, layers->layer[i]->file, err);
  return r;
}

uint64_t
target_work(const struct target *t)
{
  return t->full && t->type != VHD_DYNAMIC ? t->size : 0;
}

int
target_begin(struct target *t, struct progress *progress,
             struct vhd_error *err)
{
  return t->type == VHD_DYNAMIC ? begin_dynamic(t, err)
                                : begin_flat(t, progress, err);
}

int
target_end(struct target *t, struct vhd_error *err)
{
  if (t->type == VHD_RAW)
    return 0;
  if (t->type == VHD_DYNAMIC)
    blank_plan_end(&t->plan, t->nused);
  return blank_write_metadata(&t->plan, &t->file, t->nth, err);
}

int
target_commit(struct target *t, struct vhd_error *err)
{
  return newfile_commit(&t->file, err);
}

void
target_free(struct target *t)
{
  newfile_close(&t->file);
  free(t->nth);
  free(t->ones);
  free(t->zeros);
}
