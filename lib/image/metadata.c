/* SPDX-License-Identifier: BSD-2-Clause */
/* metadata.c: the writes of a commit: what was frozen, as the disk is to have
 * it. */
#include "config.h"

#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/bounds.h"
#include "base/bytes.h"
#include "base/rules.h"
#include "image/image.h"
#include "image/request.h"

/* Xen's batmap with the bits cleared that are no longer true. */
bool
metadata_batmap(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct commit *c = &img->commit;
  const struct batmap *bm = &img->top->layout.batmap;

  req->nio = 0;
  pthread_mutex_lock(&img->top->lock);
  bool changed = c->batmap_dirty;
  c->batmap_dirty = false;
  if (changed)
    memcpy(c->batmap_buf + BATMAP_HEADER_SIZE, c->batmap, c->batmap_bytes);
  pthread_mutex_unlock(&img->top->lock);
  if (!changed)
    return false;
  uint8_t *map = c->batmap_buf + BATMAP_HEADER_SIZE;
  batmap_format(bm, map, c->batmap_bytes, c->batmap_buf);
  request_add_io(req, img->top->file, VHD_IO_WRITE,
                 batmap_header_off(&img->top->header), BATMAP_HEADER_SIZE,
                 c->batmap_buf, 0);
  request_add_io(req, img->top->file, VHD_IO_WRITE, bm->off, c->batmap_bytes,
                 map, 0);
  return true;
}

/* Asks for the write of one block's frozen bitmap, if it changed. */
static void
add_bitmap(struct vhd_request *req, struct dirty *d)
{
  struct vhd_image *img = req->image;
  struct commit *c = &img->commit;
  uint8_t *bits = c->ones;

  if (!(d->flags & (DIRTY_ONES | DIRTY_TWIN)))
    return;
  if (d->flags & DIRTY_TWIN) {
    struct bitmap *b = bitmaps_find(&img->top->bitmaps, d->blk);
    bits = RULE(FREEZE_BITMAP) ? bitmaps_twin(&img->top->bitmaps, b)
                               : bitmaps_bits(&img->top->bitmaps, b);
  }
  request_add_io(req, img->top->file, VHD_IO_WRITE, (uint64_t)d->frozen * 512,
                 (uint64_t)img->top->bitmap_sec * 512, bits, 0);
}

/* Bitmaps from commit_pos on; returns whether there is I/O to do. */
static bool
gather_bitmaps(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);
  struct commit *c = &img->commit;

  req->nio = 0;
  pthread_mutex_lock(&img->top->lock);
  while (m->commit_pos < c->nfrozen && req->nio < VHD_REQUEST_IOS)
    add_bitmap(req, &c->dirty[m->commit_pos++]);
  pthread_mutex_unlock(&img->top->lock);
  return req->nio > 0;
}

/* The entry of a block as the disk is to have it when this commit is done. */
static uint32_t
entry_for_disk(const struct vhd_image *img, uint32_t blk)
{
  if (!(img->top->state[blk] & BLOCK_DIRTY))
    return layer_slot(img->top, blk);
  const struct dirty *d = commit_find(&img->commit, blk);
  if (!RULE(FREEZE_ENTRY))
    return layer_slot(img->top, blk);
  return d->flags & (DIRTY_FROZEN | DIRTY_UNSURE) ? d->frozen : d->disk;
}

/* Adds writes of changed BAT sectors, neighbours as one, and marks them as
 * done; under lock. */
static void
gather_bat(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct commit *c = &img->commit;
  uint32_t nsec = DIV_ROUND_UP(img->top->nblk, 128);
  uint32_t used = 0;

  for (uint32_t sec = 0; sec < nsec && used < COMMIT_BAT_SECTORS &&
                         req->nio < VHD_REQUEST_IOS;) {
    uint32_t n = bitmap_run(c->bat_sectors, sec, nsec);
    if (!bitmap_test(c->bat_sectors, sec)) {
      sec += n;
      continue;
    }
    n = MIN(n, COMMIT_BAT_SECTORS - used);
    uint8_t *buf = c->bat_buf + used * 512;
    uint32_t first = sec * 128, end = MIN(first + n * 128, img->top->nblk);
    for (uint32_t blk = first; blk < end; blk++) {
      struct be32 e = be32_put(entry_for_disk(img, blk));
      memcpy(buf + (blk - first) * 4, &e, sizeof e);
    }
    request_add_io(req, img->top->file, VHD_IO_WRITE,
                   img->top->header.table_offset + (uint64_t)first * 4,
                   (uint64_t)(end - first) * 4, buf, 0);
    bitmap_clear(c->bat_sectors, sec, n);
    used += n;
    sec += n;
  }
  if (used == COMMIT_BAT_SECTORS)
    REACHED(BOUND_TABLE);
}

bool
metadata_gather(struct vhd_request *req)
{
  if (gather_bitmaps(req))
    return true;
  pthread_mutex_lock(&req->image->top->lock);
  gather_bat(req);
  pthread_mutex_unlock(&req->image->top->lock);
  return req->nio > 0;
}

void
metadata_unsure(struct vhd_image *img)
{
  struct commit *c = &img->commit;

  pthread_mutex_lock(&img->top->lock);
  for (uint32_t i = 0; i < c->nfrozen; i++)
    if (c->dirty[i].frozen != c->dirty[i].disk)
      c->dirty[i].flags |= DIRTY_UNSURE;
  pthread_mutex_unlock(&img->top->lock);
}
