/* SPDX-License-Identifier: BSD-2-Clause */
/* blank.c: see blank.h.
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
#include <time.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "image/layout_vhdx.h"
#include "format/geometry.h"
#include "format/guid.h"
#include "ops/blank.h"
#include "store/newfile.h"

#define BAT_OFF 1536
#define PAGE 4096
#define DEFAULT_BLOCK_SIZE (2U << 20)
#define BAT_CHUNK 16384 /* entries written at once */

/* ----------------------------------------------------------------- planning */

int
blank_check_name(const char *path, struct vhd_error *err)
{
  return layout_named_vhdx(path)
           ? vhd_fail(err, VHD_ARGUMENT, EINVAL,
                      "%s: it would be a VHD, for no VHDX can be written here, "
                      "and other programs take it for what its name says; let "
                      "that end in .vhd", path)
           : 0;
}

int
blank_check_size(const char *path, enum vhd_type type, uint64_t size,
                 struct vhd_error *err)
{
  if (size == 0)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: a disk of no bytes at all cannot be in a VHD", path);
  if (size % VHD_SECTOR_SIZE != 0)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: the size %" PRIu64 " is not a multiple of 512; "
                    "%" PRIu64 " would be", path, size,
                    round_down(size, VHD_SECTOR_SIZE) + VHD_SECTOR_SIZE);
  if (type != VHD_FIXED && size > VHD_MAX_DYNAMIC_SIZE)
    return vhd_fail(err, VHD_ARGUMENT, EFBIG,
                    "%s: the size %" PRIu64 " is above 2040 GiB, the most "
                    "that a dynamic or differencing image can have", path,
                    size);
  if (size > INT64_MAX - PAGE)
    return vhd_fail(err, VHD_ARGUMENT, EFBIG,
                    "%s: the size %" PRIu64 " is larger than any file", path,
                    size);
  return 0;
}

void
blank_plan_footer(struct blank *plan, enum vhd_type type, uint64_t size)
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

void
blank_plan_end(struct blank *plan, uint32_t nused)
{
  const uint64_t used =
    nused > 0 ? blank_block(plan, nused - 1) + plan->header.block_size
              : plan->first;

  plan->end = round_up(used + FOOTER_SIZE, PAGE) - FOOTER_SIZE;
}

int
blank_plan_blocks(struct blank *plan, const char *path, uint32_t block_size,
                  struct vhd_error *err)
{
  if (block_size == 0)
    block_size = DEFAULT_BLOCK_SIZE;
  if (!is_power_of_two(block_size) || block_size < HEADER_MIN_BLOCK_SIZE ||
      block_size > HEADER_MAX_BLOCK_SIZE)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: the block size %" PRIu32 " is not a power of two "
                    "from 4 KiB to 256 MiB", path, block_size);

  uint64_t nblk = DIV_ROUND_UP(plan->footer.current_size, block_size);
  if (nblk > HEADER_MAX_BLOCKS)
    return vhd_fail(err, VHD_ARGUMENT, EFBIG,
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
  uint64_t last = blank_block(plan, (uint32_t)nblk - 1) - plan->bitmap_len;
  if (last / VHD_SECTOR_SIZE >= UINT32_MAX)
    return vhd_fail(err, VHD_ARGUMENT, EFBIG,
                    "%s: a full disk of %" PRIu64 " bytes in blocks of "
                    "%" PRIu32 " would outgrow what a VHD can address; choose "
                    "larger blocks", path, plan->footer.current_size,
                    block_size);

  plan->header.table_offset = BAT_OFF;
  plan->header.max_table_entries = plan->nblk;
  plan->header.block_size = block_size;
  blank_plan_end(plan, plan->full ? plan->nblk : 0);
  parent_ref_describe(&plan->parent, &plan->header);
  return 0;
}

/* ------------------------------------------------------------------ writing */

static uint32_t
bat_entry(const struct blank *plan, const uint32_t *nth, uint64_t blk)
{
  uint32_t at = BLANK_NO_BLOCK;

  if (blk < plan->nblk)
    at = nth != NULL ? nth[blk] : plan->full ? (uint32_t)blk : BLANK_NO_BLOCK;
  if (at == BLANK_NO_BLOCK)
    return UINT32_MAX;
  return (uint32_t)((blank_block(plan, at) - plan->bitmap_len) /
                    VHD_SECTOR_SIZE);
}

static int
write_bat(const struct blank *plan, struct newfile *file, const uint32_t *nth,
          struct vhd_error *err)
{
  uint64_t nslots = plan->bat_len / sizeof(struct be32);
  CLEANUP_FREE struct be32 *chunk = malloc(BAT_CHUNK * sizeof *chunk);

  if (chunk == NULL)
    return vhd_fail_sys(err, ENOMEM, "%s", file->path);
  for (uint64_t i = 0; i < nslots; i += BAT_CHUNK) {
    size_t n = (size_t)MIN(BAT_CHUNK, nslots - i);
    for (size_t k = 0; k < n; k++)
      chunk[k] = be32_put(bat_entry(plan, nth, i + k));
    int r = newfile_write(file, chunk, n * sizeof *chunk,
                          BAT_OFF + i * sizeof *chunk, err);
    if (r < 0)
      return r;
  }
  return 0;
}

int
blank_write_metadata(const struct blank *plan, struct newfile *file,
                     const uint32_t *nth, struct vhd_error *err)
{
  uint8_t footer[FOOTER_SIZE], header[HEADER_SIZE];

  footer_format(&plan->footer, footer);
  int r = newfile_write(file, footer, sizeof footer, plan->end, err);
  if (r < 0 || plan->footer.type == VHD_FIXED)
    return r;

  header_format(&plan->header, header);
  r = newfile_write(file, footer, sizeof footer, 0, err);
  if (r == 0)
    r = newfile_write(file, header, sizeof header, FOOTER_SIZE, err);
  return r == 0 ? write_bat(plan, file, nth, err) : r;
}
