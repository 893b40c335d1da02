/* SPDX-License-Identifier: BSD-2-Clause */
/* simimage.c: see simimage.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/bytes.h"
#include "format/footer.h"
#include "format/header.h"
#include "simimage.h"

const char *const sim_kind_name[] = {
  [SIM_DYNAMIC] = "dynamic", [SIM_PARTIAL] = "dynamic with partial bitmaps",
  [SIM_CHILD] = "differencing", [SIM_CHILD_MIXED] = "differencing with blocks",
  [SIM_FIXED] = "fixed",
};

static const uint8_t parent_id[16] = "the-parents-id-";
static const uint8_t own_id[16] = "the-images-own-";

static void
fill_random(uint8_t *buf, size_t len, uint64_t (*random)(void))
{
  for (size_t i = 0; i < len; i += 8) {
    uint64_t v = random();
    memcpy(buf + i, &v, 8);
  }
}

static struct footer
make_footer(enum vhd_type type, const uint8_t *id)
{
  struct footer f = {
    .features = 2, .data_offset = type == VHD_FIXED ? ~0ULL : 512,
    .creator = "win ", .creator_version = 0xa0000, .creator_os = "Wi2k",
    .original_size = SIM_SIZE, .current_size = SIM_SIZE,
    .cylinders = 1, .heads = 4, .sectors = 17, .type = type,
  };
  memcpy(f.id, id, 16);
  return f;
}

/* Packed as Windows 7 does: unaligned, the footer right behind the last block.
 * Stale bytes lie under the bits that are not set. */
static struct simfile *
make_sparse(enum vhd_type type, const uint8_t *id, bool blocks,
            uint64_t (*random)(void))
{
  struct simfile *sf = simfile_new(random);
  struct footer f = make_footer(type, id);
  struct header h = { .table_offset = 1536, .max_table_entries = SIM_BLOCKS,
                      .block_size = SIM_BLOCK };
  uint8_t buf[1024], block[512 + SIM_BLOCK];
  struct be32 bat[128];
  uint64_t end = 2048;

  if (type == VHD_DIFFERENCING)
    memcpy(h.parent_id, parent_id, 16);
  for (unsigned i = 0; i < 128; i++)
    bat[i] = be32_put(NO_SLOT);
  for (unsigned blk = 0; blocks && blk < SIM_BLOCKS; blk += 2) {
    fill_random(block, sizeof block, random);
    memset(block, 0, 512);
    if (blk % 3 == 0)
      bitmap_set(block, 0, 8);
    else
      block[0] = (uint8_t)random();
    bat[blk] = be32_put((uint32_t)(end / 512));
    simfile_put(sf, block, sizeof block, end);
    end += sizeof block;
  }
  simfile_put(sf, bat, sizeof bat, 1536);
  header_format(&h, buf);
  simfile_put(sf, buf, HEADER_SIZE, 512);
  footer_format(&f, buf);
  simfile_put(sf, buf, FOOTER_SIZE, 0);
  simfile_put(sf, buf, FOOTER_SIZE, end);
  return sf;
}

static struct simfile *
make_fixed(uint64_t (*random)(void))
{
  struct simfile *sf = simfile_new(random);
  struct footer f = make_footer(VHD_FIXED, own_id);
  uint8_t buf[FOOTER_SIZE], data[4096];

  for (uint64_t off = 0; off < SIM_SIZE; off += sizeof data) {
    fill_random(data, sizeof data, random);
    simfile_put(sf, data, sizeof data, off);
  }
  footer_format(&f, buf);
  simfile_put(sf, buf, sizeof buf, SIM_SIZE);
  return sf;
}

struct simimage
simimage_make(enum sim_kind kind, uint64_t (*random)(void))
{
  struct simimage si = { .kind = kind };

  switch (kind) {
  case SIM_FIXED:
    si.file = make_fixed(random);
    break;
  case SIM_CHILD:
  case SIM_CHILD_MIXED:
    si.parent = make_sparse(VHD_DYNAMIC, parent_id, true, random);
    si.file = make_sparse(VHD_DIFFERENCING, own_id, kind == SIM_CHILD_MIXED,
                          random);
    break;
  default:
    si.file = make_sparse(VHD_DYNAMIC, own_id, kind == SIM_PARTIAL, random);
  }
  return si;
}

void
simimage_free(struct simimage *si)
{
  simfile_free(si->file);
  simfile_free(si->parent);
}

static int
open_parent(const struct simimage *si, struct vhd_image **parent,
            struct vhd_error *err)
{
  int e = image_new(simfile_open(si->parent, "parent", 1), VHD_OPEN_READONLY,
                    parent, err);
  if (e == 0)
    e = image_start(*parent, NULL, false, err);
  return e;
}

int
simimage_open(const struct simimage *si, struct simfile *file, bool readonly,
              struct journal *journal, struct vhd_image **image,
              struct vhd_error *err)
{
  struct vhd_image *parent;

  int e = image_new(simfile_open(file, "image", 2),
                    readonly ? VHD_OPEN_READONLY : 0, image, err);
  if (e < 0)
    return e;
  if (si->parent) {
    e = open_parent(si, &parent, err);
    if (e == 0)
      e = image_set_parent(*image, parent);
  }
  if (e == 0)
    e = image_start(*image, journal, !readonly, err);
  if (e < 0)
    image_free(*image);
  return e;
}
