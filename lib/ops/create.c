/* SPDX-License-Identifier: BSD-2-Clause */
/* create.c: vhd_create(), new images of all three types.  One thread a call.
 *
 * The layout is that of Windows 10:
 *
 *   0      copy of the footer
 *   512    dynamic header
 *   1536   BAT, filled up to a sector with FF
 *   ...    in a child: the locators' paths, W2ku then W2ru
 *   data   a multiple of 4096; the first block's bitmap ends here, in the
 *          sectors before, and each next block lies one stride further on
 *   end    a multiple of 4096, the footer in its last 512 bytes
 *
 * so that data never straddles a page of the host.  A fixed disk is its data
 * with the footer behind, and nothing else.
 *
 * Creator: `win ` 10.0, OS `Wi2k`.  An image of a size that no geometry
 * expresses exactly (nearly all) must say who made it in a word that readers
 * know, or they cut it short: qemu up to 9.2 takes C*H*S for the size of every
 * creator that it does not list, and a 10 MiB disk by an unknown one comes out
 * 6 KiB smaller there.  Of those it lists, `tap` promises a batmap, `qem2` and
 * `d2v ` are not universally known, and `win ` is believed by every reader. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/progress.h"
#include "format/footer.h"
#include "format/geometry.h"
#include "format/guid.h"
#include "format/header.h"
#include "image/image.h"
#include "image/parent_time.h"
#include "ops/children.h"
#include "ops/parent_ref.h"
#include "store/newfile.h"
#include "vhdkit.h"

#define BAT_OFF 1536
#define PAGE 4096
#define DEFAULT_BLOCK_SIZE (2U << 20)
#define BAT_CHUNK 16384 /* entries written at once */

/* What is going to be written where, all of it checked. */
struct plan {
  struct footer footer;
  uint64_t end; /* where the footer goes */
  bool full;
  /* Dynamic and differencing. */
  struct header header;
  struct parent_ref parent;
  uint32_t nblk;
  uint32_t bitmap_len;
  uint64_t bat_len; /* on disk */
  uint64_t first;   /* offset of the first block's data */
  uint64_t stride;
};

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
    return vhd_fail(err, VHD_TYPE, EINVAL, "%s: %d is no type of image", path,
                    (int)*type);
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
    return vhd_fail(err, VHD_SIZE, EINVAL, "%s: it needs a size above 0",
                    path);
  return 0;
}

static int
check_size(const char *path, enum vhd_type type, uint64_t size,
           struct vhd_error *err)
{
  if (size % VHD_SECTOR_SIZE != 0)
    return vhd_fail(err, VHD_SIZE, EINVAL,
                    "%s: the size %" PRIu64 " is not a multiple of 512; "
                    "%" PRIu64 " would be", path, size,
                    round_down(size, VHD_SECTOR_SIZE) + VHD_SECTOR_SIZE);
  if (type != VHD_FIXED && size > VHD_MAX_DYNAMIC_SIZE)
    return vhd_fail(err, VHD_LIMIT, EFBIG,
                    "%s: the size %" PRIu64 " is above 2040 GiB, the most "
                    "that a dynamic or differencing image can have", path,
                    size);
  if (size > INT64_MAX - PAGE)
    return vhd_fail(err, VHD_LIMIT, EFBIG,
                    "%s: the size %" PRIu64 " is larger than any file", path,
                    size);
  return 0;
}

static void
plan_footer(struct plan *plan, enum vhd_type type, uint64_t size)
{
  struct geometry geometry = geometry_for_size(size);
  struct footer *footer = &plan->footer;

  *footer = (struct footer){
    .features = 2, /* reserved, always set */
    .data_offset = type == VHD_FIXED ? UINT64_MAX : FOOTER_SIZE,
    .timestamp = (uint32_t)(time(NULL) - VHD_EPOCH),
    .creator = { 'w', 'i', 'n', ' ' },
    .creator_version = 10U << 16,
    .creator_os = { 'W', 'i', '2', 'k' },
    .original_size = size,
    .current_size = size,
    .cylinders = geometry.cylinders,
    .heads = geometry.heads,
    .sectors = geometry.sectors,
    .type = type,
  };
  guid_generate(footer->id);
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

/* Where everything lies in an image with blocks. */
static int
plan_blocks(struct plan *plan, const char *path, uint32_t block_size,
            struct vhd_error *err)
{
  if (!is_power_of_two(block_size) || block_size < HEADER_MIN_BLOCK_SIZE ||
      block_size > HEADER_MAX_BLOCK_SIZE)
    return vhd_fail(err, VHD_BLOCK_SIZE, EINVAL,
                    "%s: the block size %" PRIu32 " is not a power of two "
                    "from 4 KiB to 256 MiB", path, block_size);

  uint64_t nblk = DIV_ROUND_UP(plan->footer.current_size, block_size);
  if (nblk > HEADER_MAX_BLOCKS)
    return vhd_fail(err, VHD_LIMIT, EFBIG,
                    "%s: blocks of %" PRIu32 " bytes are too small for a disk "
                    "of %" PRIu64, path, block_size,
                    plan->footer.current_size);
  plan->nblk = (uint32_t)nblk;
  plan->bitmap_len = header_bitmap_sectors(block_size) * VHD_SECTOR_SIZE;
  plan->bat_len = round_up(nblk * sizeof(struct be32), VHD_SECTOR_SIZE);

  uint64_t meta = parent_ref_place(&plan->parent, BAT_OFF + plan->bat_len);
  plan->first = round_up(meta + plan->bitmap_len, PAGE);
  plan->stride = round_up((uint64_t)plan->bitmap_len + block_size, PAGE);

  /* A BAT entry counts sectors in 32 bits, the last value excepted. */
  uint64_t last = plan->first + (nblk - 1) * plan->stride - plan->bitmap_len;
  if (last / VHD_SECTOR_SIZE >= UINT32_MAX)
    return vhd_fail(err, VHD_LIMIT, EFBIG,
                    "%s: a full disk of %" PRIu64 " bytes in blocks of "
                    "%" PRIu32 " would outgrow what a VHD can address; choose "
                    "larger blocks", path, plan->footer.current_size,
                    block_size);

  uint64_t used = plan->full ? plan->first + (nblk - 1) * plan->stride +
                                 block_size
                             : plan->first;
  plan->end = round_up(used + FOOTER_SIZE, PAGE) - FOOTER_SIZE;

  plan->header.table_offset = BAT_OFF;
  plan->header.max_table_entries = plan->nblk;
  plan->header.block_size = block_size;
  parent_ref_describe(&plan->parent, &plan->header);
  return 0;
}

static int
make_plan(struct plan *plan, const char *path,
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
      return vhd_fail(err, VHD_LIMIT, ELOOP,
                      "%s: the parent has %u ancestors itself; a chain of more "
                      "than %d would not be opened", path, info.depth,
                      VHD_MAX_DEPTH);
    if (size == 0)
      size = info.size;
    if (block_size == 0)
      block_size = info.block_size;
    r = parent_ref_make(&plan->parent, path, opt->parent, &info,
                        !(opt->flags & VHD_CREATE_ABSOLUTE), err);
    if (r < 0)
      return r;
  }
  r = check_size(path, type, size, err);
  if (r < 0)
    return r;

  plan->full = opt->flags & VHD_CREATE_FULL;
  plan_footer(plan, type, size);
  if (parent != NULL)
    inherit_geometry(&plan->footer, &info);
  if (type == VHD_FIXED) {
    plan->end = size;
    return 0;
  }
  return plan_blocks(plan, path,
                     block_size != 0 ? block_size : DEFAULT_BLOCK_SIZE, err);
}

/* ------------------------------------------------------------------ writing */

static int
write_bat(const struct plan *plan, struct newfile *file, struct vhd_error *err)
{
  uint64_t nslots = plan->bat_len / sizeof(struct be32);
  CLEANUP_FREE struct be32 *chunk = malloc(BAT_CHUNK * sizeof *chunk);

  if (chunk == NULL)
    return vhd_fail_sys(err, ENOMEM, "%s", file->path);
  for (uint64_t i = 0; i < nslots; i += BAT_CHUNK) {
    size_t n = (size_t)MIN(BAT_CHUNK, nslots - i);
    for (size_t k = 0; k < n; k++) {
      uint32_t entry = UINT32_MAX;
      if (plan->full && i + k < plan->nblk)
        entry = (uint32_t)((plan->first + (i + k) * plan->stride -
                            plan->bitmap_len) / VHD_SECTOR_SIZE);
      chunk[k] = be32_put(entry);
    }
    int r = newfile_write(file, chunk, n * sizeof *chunk,
                          BAT_OFF + i * sizeof *chunk, err);
    if (r < 0)
      return r;
  }
  return 0;
}

/* Every block of a full dynamic disk is written, with zeros.  Those of a
 * child stay clear: there its parent shows through. */
static bool
has_full_bitmaps(const struct plan *plan)
{
  return plan->full && plan->footer.type == VHD_DYNAMIC;
}

/* What of the work is worth a bar. */
static uint64_t
work_of(const struct plan *plan)
{
  uint64_t work = plan->full ? plan->end + FOOTER_SIZE : 0;

  if (has_full_bitmaps(plan))
    work += (uint64_t)plan->nblk * plan->bitmap_len;
  return work;
}

static int
write_bitmaps(const struct plan *plan, struct newfile *file,
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
write_image(const struct plan *plan, struct newfile *file,
            struct progress *progress, struct vhd_error *err)
{
  uint8_t footer[FOOTER_SIZE], header[HEADER_SIZE];
  int r = 0;

  if (plan->full)
    r = newfile_reserve(file, plan->end + FOOTER_SIZE, progress, err);
  footer_format(&plan->footer, footer);
  if (r == 0)
    r = newfile_write(file, footer, sizeof footer, plan->end, err);
  if (r < 0 || plan->footer.type == VHD_FIXED)
    return r;

  header_format(&plan->header, header);
  r = newfile_write(file, footer, sizeof footer, 0, err);
  if (r == 0)
    r = newfile_write(file, header, sizeof header, FOOTER_SIZE, err);
  if (r == 0)
    r = write_bat(plan, file, err);
  if (r == 0)
    r = parent_ref_write(&plan->parent, file, err);
  if (r == 0 && has_full_bitmaps(plan))
    r = write_bitmaps(plan, file, progress, err);
  return r;
}

/* What a killed program left of an image is made part of it. */
static int
write_down(const char *path, struct vhd_open_options open,
           struct vhd_error *err)
{
  struct vhd_error why = { 0 };
  struct vhd_image *image;

  open.flags = 0;
  int r = vhd_open(path, &open, &image, &why);
  if (r == 0)
    r = vhd_close(image, &why);
  return r < 0 ? vhd_fail(err, why.code, -r,
                          "%s: it cannot become a parent, for a killed program "
                          "left changes of it in memory alone, and they cannot "
                          "be written down: %s", path, why.message) : 0;
}

static const struct layer *
find_journaled(const struct vhd_image *image)
{
  const struct layers *layers = atomic_load(&image->layers);

  for (unsigned i = 0; i < layers->n; i++)
    if (layers->layer[i]->journaled)
      return layers->layer[i];
  return NULL;
}

/* What a child builds upon must not go with the next power cut: where a journal
 * holds some of it, that is written down first. */
static int
open_parent(const struct vhd_create_options *opt, struct vhd_image **parent,
            struct vhd_error *err)
{
  struct vhd_open_options open = {
    .flags = VHD_OPEN_READONLY,
    .roots = opt->roots,
    .nroots = opt->nroots,
  };
  const struct layer *layer;

  int r = vhd_open(opt->parent, &open, parent, err);
  while (r == 0 && (layer = find_journaled(*parent)) != NULL) {
    CLEANUP_FREE char *path = strdup(layer->path);
    close_image(parent);
    *parent = NULL;
    r = path ? write_down(path, open, err)
             : vhd_fail_sys(err, ENOMEM, "%s", opt->parent);
    if (r == 0)
      r = vhd_open(opt->parent, &open, parent, err);
  }
  return r;
}

int
vhd_create(const char *path, const struct vhd_create_options *opt,
           struct vhd_error *err)
{
  /* The parent stays open, and so as it is, until its child is there. */
  __attribute__((cleanup(close_image))) struct vhd_image *parent = NULL;
  __attribute__((cleanup(free_newfile))) struct newfile file = {
    .fd = -1, .dir = -1,
  };
  struct plan plan = { 0 };
  struct progress progress;

  int r = vhd_check_flags(opt->flags, CREATE_FLAGS, path, err);
  if (r == 0)
    r = CHECK_ROOM(opt, path, err);
  if (r < 0)
    return r;
  if (opt->parent != NULL) {
    r = open_parent(opt, &parent, err);
    if (r < 0)
      return r;
  }
  r = make_plan(&plan, path, opt, parent, err);
  if (r < 0)
    return r;
  r = newfile_open(&file, path, opt->flags & VHD_CREATE_OVERWRITE, err);
  if (r == 0 && file.old != NULL)
    r = children_refuse_loss(file.old, err);
  if (r < 0)
    return r;
  r = progress_begin(&progress, &opt->progress, path, work_of(&plan), err);
  if (r == 0)
    r = write_image(&plan, &file, &progress, err);
  if (r == 0)
    r = progress_end(&progress, err);
  if (r < 0)
    return r;
  if (parent)
    parent_time_outlast(parent->top, file.fd);
  return newfile_commit(&file, err);
}
