/* SPDX-License-Identifier: BSD-2-Clause */
/* simimage.c: see simimage.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/bytes.h"
#include "format/footer.h"
#include "format/header.h"
#include "image/replay.h"
#include "simimage.h"

const char *const sim_kind_name[] = {
  [SIM_DYNAMIC] = "dynamic", [SIM_PARTIAL] = "dynamic with partial bitmaps",
  [SIM_CHILD] = "differencing", [SIM_CHILD_MIXED] = "differencing with blocks",
  [SIM_SHORT] = "dynamic with a short block",
  [SIM_LONG_TABLE] = "dynamic with a long table",
  [SIM_DEEP] = "differencing, 128 deep", [SIM_FIXED] = "fixed",
};

static const uint8_t own_id[16] = "the-images-own-";

#define SLOT (512 + SIM_BLOCK)

/* The id of the image that has n ancestors fewer. */
static void
make_id(uint8_t *id, unsigned n)
{
  memcpy(id, own_id, 16);
  id[0] = (uint8_t)(id[0] + n);
}

static void
fill_random(uint8_t *buf, size_t len, uint64_t (*random)(void))
{
  for (size_t i = 0; i < len; i += 8) {
    uint64_t v = random();
    memcpy(buf + i, &v, 8);
  }
}

static struct footer
make_footer(enum vhd_type type, unsigned generation)
{
  struct footer f = {
    .features = 2, .data_offset = type == VHD_FIXED ? ~0ULL : 512,
    .creator = "win ", .creator_version = 0xa0000, .creator_os = "Wi2k",
    .original_size = SIM_SIZE, .current_size = SIM_SIZE,
    .cylinders = 1, .heads = 4, .sectors = 17, .type = type,
  };
  make_id(f.id, generation);
  return f;
}

/* How a dynamic or differencing file is laid out. */
struct shape {
  enum vhd_type type;
  unsigned generation; /* how many images stand upon it */
  unsigned every;      /* every so manyth block is there; 0: none */
  bool short_last;     /* the last block too, and cut short */
  unsigned spare;      /* blocks behind the disk's end */
};

/* A file that is being put together. */
struct build {
  struct simfile *sf;
  uint64_t (*random)(void);
  struct be32 bat[128];
  uint64_t end;
};

/* Stale bytes lie under the bits that are not set. */
static void
add_block(struct build *b, unsigned blk, unsigned nsec)
{
  uint8_t block[SLOT];
  size_t len = 512 + (size_t)nsec * 512;

  fill_random(block, sizeof block, b->random);
  memset(block, 0, 512);
  if (blk % 3 == 0)
    bitmap_set(block, 0, 8);
  else
    block[0] = (uint8_t)b->random();
  b->bat[blk] = be32_put((uint32_t)(b->end / 512));
  simfile_put(b->sf, block, len, b->end);
  b->end += len;
}

static void
add_blocks(struct build *b, const struct shape *shape)
{
  unsigned last = SIM_BLOCKS - 1;

  for (unsigned i = 0; i < 128; i++)
    b->bat[i] = be32_put(NO_SLOT);
  for (unsigned blk = 0; blk < SIM_BLOCKS; blk++) {
    if (blk == SIM_BLOCKS / 2 && shape->short_last)
      add_block(b, last, SIM_SECTORS % (SIM_BLOCK / 512));
    if (blk == SIM_BLOCKS / 2)
      for (unsigned i = 0; i < shape->spare; i++)
        add_block(b, SIM_BLOCKS + i, SIM_BLOCK / 512);
    if (shape->every && blk % shape->every == shape->generation % shape->every)
      if (blk != last || !shape->short_last)
        add_block(b, blk, SIM_BLOCK / 512);
  }
}

/* Packed as Windows 7 does: unaligned, the footer right behind the last
 * block. */
static struct simfile *
make_sparse(const struct shape *shape, uint64_t (*random)(void))
{
  struct build b = { simfile_new(random), random, { { { 0 } } }, 2048 };
  struct footer f = make_footer(shape->type, shape->generation);
  struct header h = { .table_offset = 1536,
                      .max_table_entries = SIM_BLOCKS + shape->spare,
                      .block_size = SIM_BLOCK };
  uint8_t buf[1024];

  if (shape->type == VHD_DIFFERENCING)
    make_id(h.parent_id, shape->generation + 1);
  add_blocks(&b, shape);
  simfile_put(b.sf, b.bat, sizeof b.bat, 1536);
  header_format(&h, buf);
  simfile_put(b.sf, buf, HEADER_SIZE, 512);
  footer_format(&f, buf);
  simfile_put(b.sf, buf, FOOTER_SIZE, 0);
  simfile_put(b.sf, buf, FOOTER_SIZE, b.end);
  return b.sf;
}

static struct simfile *
make_fixed(uint64_t (*random)(void))
{
  struct simfile *sf = simfile_new(random);
  struct footer f = make_footer(VHD_FIXED, 0);
  uint8_t buf[FOOTER_SIZE], data[512];

  for (uint64_t off = 0; off < SIM_SIZE; off += sizeof data) {
    fill_random(data, sizeof data, random);
    simfile_put(sf, data, sizeof data, off);
  }
  footer_format(&f, buf);
  simfile_put(sf, buf, sizeof buf, SIM_SIZE);
  return sf;
}

/* ---------------------------------------------------------------- ancestors */

static void
make_ancestors(struct simimage *si, unsigned n, uint64_t (*random)(void))
{
  si->nancestor = n;
  for (unsigned i = 0; i < n; i++) {
    struct shape shape = {
      .type = i + 1 == n ? VHD_DYNAMIC : VHD_DIFFERENCING,
      .generation = i + 1, .every = n == 1 ? 2 : 5,
    };
    si->ancestor[i] = make_sparse(&shape, random);
  }
}

/* Remembers what the spare blocks hold. */
static void
note_spare(struct simimage *si)
{
  const uint8_t *bytes = si->file->cache.bytes;
  struct be32 entry;

  si->spare = malloc(SIM_SPARE * SLOT);
  for (unsigned i = 0; i < SIM_SPARE; i++) {
    memcpy(&entry, bytes + 1536 + (SIM_BLOCKS + i) * 4, sizeof entry);
    si->spare_off[i] = be32_get(entry) * 512ULL;
    memcpy(si->spare + i * SLOT, bytes + si->spare_off[i], SLOT);
  }
}

bool
simimage_spare_intact(const struct simimage *si, const struct simfile *file)
{
  for (unsigned i = 0; si->spare && i < SIM_SPARE; i++)
    if (si->spare_off[i] + SLOT > file->cache.size ||
        memcmp(file->cache.bytes + si->spare_off[i], si->spare + i * SLOT,
               SLOT) != 0)
      return false;
  return true;
}

struct simimage
simimage_make(enum sim_kind kind, uint64_t (*random)(void))
{
  static const struct shape shapes[] = {
    [SIM_DYNAMIC] = { VHD_DYNAMIC, 0, 0, false, 0 },
    [SIM_PARTIAL] = { VHD_DYNAMIC, 0, 2, false, 0 },
    [SIM_CHILD] = { VHD_DIFFERENCING, 0, 0, false, 0 },
    [SIM_CHILD_MIXED] = { VHD_DIFFERENCING, 0, 2, false, 0 },
    [SIM_SHORT] = { VHD_DYNAMIC, 0, 2, true, 0 },
    [SIM_LONG_TABLE] = { VHD_DYNAMIC, 0, 2, false, SIM_SPARE },
    [SIM_DEEP] = { VHD_DIFFERENCING, 0, 0, false, 0 },
  };
  struct simimage si = { .kind = kind };

  if (kind == SIM_CHILD || kind == SIM_CHILD_MIXED)
    make_ancestors(&si, 1, random);
  if (kind == SIM_DEEP)
    make_ancestors(&si, SIM_DEPTH, random);
  si.file = kind == SIM_FIXED ? make_fixed(random)
                              : make_sparse(&shapes[kind], random);
  if (kind == SIM_LONG_TABLE)
    note_spare(&si);
  return si;
}

void
simimage_free(struct simimage *si)
{
  simfile_free(si->file);
  for (unsigned i = 0; i < si->nancestor; i++)
    simfile_free(si->ancestor[i]);
  free(si->spare);
}

/* ------------------------------------------------------------------ opening */

/* Opens the i-th ancestor and those below it: the deepest first. */
static int
open_ancestors(const struct simimage *si, struct vhd_image **parent,
               struct vhd_error *err)
{
  struct vhd_image *below = NULL, *img;

  for (unsigned i = si->nancestor; i-- > 0; below = img) {
    int e = image_new(simfile_open(si->ancestor[i], "ancestor", 3 + i),
                      VHD_OPEN_READONLY, &img, err);
    if (e == 0 && below)
      e = image_set_parent(img, below);
    if (e == 0)
      e = image_start(img, NULL, false, err);
    if (e < 0)
      return e;
  }
  *parent = below;
  return 0;
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
  if (si->nancestor > 0) {
    e = open_ancestors(si, &parent, err);
    if (e == 0)
      e = image_set_parent(*image, parent);
  }
  if (e == 0 && journal && !journal_empty(journal) && !(*image)->top->fixed)
    e = replay_check(*image, journal, err);
  if (e == 0)
    e = image_start(*image, journal, !readonly, err);
  if (e < 0)
    image_free(*image);
  return e;
}
