/* SPDX-License-Identifier: BSD-2-Clause */
/* content.c: see content.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "ops/content.h"
#include "store/newfile.h"

/* ----------------------------------------------------------------- planning */

static int
check_parts(const struct content *c, const struct blank *plan,
            const char *path, struct vhd_error *err)
{
  uint64_t end = 0;

  for (size_t i = 0; i < c->n; i++) {
    const struct vhd_content *part = &c->part[i];
    int r = CHECK_ROOM(part, path, err);
    if (r < 0)
      return r;
    if (part->off < end || (part->off | part->len) % VHD_SECTOR_SIZE != 0 ||
        !range_fits(part->off, part->len, plan->footer.current_size))
      return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                      "%s: its content must be whole sectors of the disk, in "
                      "their order", path);
    end = part->off + part->len;
  }
  return 0;
}

/* Numbers the blocks that hold some of it. */
static void
place_blocks(struct content *c, struct blank *plan)
{
  const uint32_t block = plan->header.block_size;
  uint32_t nused = 0;

  for (size_t i = 0; i < c->n; i++) {
    const uint64_t off = c->part[i].off, end = off + c->part[i].len;
    for (uint64_t at = round_down(off, block); at < end; at += block)
      if (c->nth[at / block] == BLANK_NO_BLOCK)
        c->nth[at / block] = nused++;
  }
  blank_plan_end(plan, nused);
}

int
content_plan(struct content *c, struct blank *plan, const char *path,
             struct vhd_error *err)
{
  int r = check_parts(c, plan, path, err);

  /* Where it has no blocks, or has them all, they have their places. */
  if (r < 0 || c->n == 0 || plan->nblk == 0 || plan->full)
    return r;
  c->nth = malloc(plan->nblk * sizeof *c->nth);
  if (c->nth == NULL)
    return vhd_fail_sys(err, ENOMEM, "%s", path);
  memset(c->nth, 0xff, plan->nblk * sizeof *c->nth); /* BLANK_NO_BLOCK */
  place_blocks(c, plan);
  return 0;
}

void
content_free(struct content *c)
{
  free(c->nth);
}

/* ------------------------------------------------------------------ writing */

/* In a child the sectors of the content alone are its own. */
static void
mark_sectors(const struct content *c, uint8_t *bits, uint64_t block_off,
             uint32_t block)
{
  for (size_t i = 0; i < c->n; i++) {
    const uint64_t from = MAX(c->part[i].off, block_off);
    const uint64_t end = MIN(c->part[i].off + c->part[i].len,
                             block_off + block);
    if (from < end)
      bitmap_set(bits, (uint32_t)((from - block_off) / VHD_SECTOR_SIZE),
                 (uint32_t)((end - from) / VHD_SECTOR_SIZE));
  }
}

static int
write_bitmap(const struct content *c, const struct blank *plan,
             struct newfile *file, uint32_t blk, uint64_t place,
             struct vhd_error *err)
{
  const uint32_t block = plan->header.block_size;
  CLEANUP_FREE uint8_t *bits = calloc(1, plan->bitmap_len);

  if (bits == NULL)
    return vhd_fail_sys(err, ENOMEM, "%s", file->path);
  if (plan->footer.type == VHD_DYNAMIC)
    memset(bits, 0xff, plan->bitmap_len);
  else
    mark_sectors(c, bits, (uint64_t)blk * block, block);
  return newfile_write(file, bits, plan->bitmap_len, place - plan->bitmap_len,
                       err);
}

/* What of a part lies in one block. */
static int
write_in_block(const struct content *c, const struct blank *plan,
               struct newfile *file, const uint8_t *buf, size_t len,
               uint64_t off, struct vhd_error *err)
{
  const uint32_t block = plan->header.block_size;
  const uint32_t blk = (uint32_t)(off / block);
  const uint64_t place =
    blank_block(plan, c->nth != NULL ? c->nth[blk] : blk);

  int r = write_bitmap(c, plan, file, blk, place, err);
  return r < 0 ? r : newfile_write(file, buf, len, place + off % block, err);
}

static int
write_part(const struct content *c, const struct blank *plan,
           struct newfile *file, const struct vhd_content *part,
           struct vhd_error *err)
{
  const uint64_t block = plan->header.block_size;
  const uint8_t *buf = part->buf;
  int r = 0;

  if (plan->nblk == 0)
    return newfile_write(file, buf, part->len, part->off, err);
  for (size_t at = 0, n; at < part->len && r == 0; at += n) {
    const uint64_t off = part->off + at;
    n = (size_t)MIN(part->len - at, block - off % block);
    r = write_in_block(c, plan, file, buf + at, n, off, err);
  }
  return r;
}

int
content_write(const struct content *c, const struct blank *plan,
              struct newfile *file, struct vhd_error *err)
{
  int r = 0;

  for (size_t i = 0; i < c->n && r == 0; i++)
    r = write_part(c, plan, file, &c->part[i], err);
  return r;
}
