/* SPDX-License-Identifier: BSD-2-Clause */
/* load.c: a detour of requests: reading the bitmap of a block. */
#include "config.h"

#include "base/bitmap.h"
#include "image/request.h"

static phase_fn loaded;

/* Looks once more under the lock; then either somebody reads the bitmap
 * already, or this request does. */
enum vhd_step
request_load(struct vhd_request *req, struct layer *l, uint32_t blk,
             phase_fn *back)
{
  struct machine *m = machine_of(req);

  pthread_mutex_lock(&l->lock);
  uint8_t state = l->state[blk];
  struct bitmap *b = bitmaps_find(&l->bitmaps, blk);
  enum summary s = summary_of(state);
  if (state & BLOCK_LOADING)
    return request_park(req, l, &l->blocks, &l->state[blk], back);
  if (layer_slot(l, blk) == NO_SLOT || s == BITS_ALL || s == BITS_NONE ||
      (s == BITS_MIXED && b)) {
    pthread_mutex_unlock(&l->lock);
    return request_next(req, back);
  }
  b = bitmaps_claim(l, blk);
  if (!b) /* each entry is being read or written: wait for one of them */
    return request_park(req, l, &l->bitmaps.waiting, NULL, back);
  b->flags |= BITMAP_LOADING;
  layer_set_flags(l, blk, BLOCK_LOADING, 0);
  uint8_t *bits = bitmaps_bits(&l->bitmaps, b);
  uint32_t slot = layer_slot(l, blk);
  pthread_mutex_unlock(&l->lock);

  m->load_layer = l;
  m->load_bitmap = b;
  req->nio = 0;
  request_add_io(req, l->bytes, VHD_IO_READ, layer_bitmap_off(l, blk, slot),
                 l->bitmaps.bytes, bits, 0);
  request_call(req, loaded, back);
  return request_io(req, loaded);
}

/* All ones, all zeros, or a mixture?  Bits behind the disk's end say
 * nothing. */
static enum summary
summarize(const struct layer *l, uint32_t blk, const uint8_t *bits)
{
  uint32_t nsec = layer_block_sectors(l, blk);

  if (bitmap_run(bits, 0, nsec) < nsec)
    return BITS_MIXED;
  return bitmap_test(bits, 0) ? BITS_ALL : BITS_NONE;
}

static enum vhd_step
loaded(struct vhd_request *req)
{
  struct machine *m = machine_of(req);
  struct layer *l = m->load_layer;
  struct bitmap *b = m->load_bitmap;
  uint32_t blk = b->blk;
  int result = request_io_result(req);

  req->nio = 0;
  pthread_mutex_lock(&l->lock);
  b->flags &= ~BITMAP_LOADING;
  enum summary s = BITS_UNKNOWN;
  if (result == 0) {
    if (l->format == VHD_FORMAT_VHDX)
      bitmap_turn(bitmaps_bits(&l->bitmaps, b), l->bitmaps.bytes);
    s = summarize(l, blk, bitmaps_bits(&l->bitmaps, b));
    layer_set_block(l, blk, layer_slot(l, blk), s);
  }
  if (s != BITS_MIXED)
    bitmaps_drop(&l->bitmaps, b);
  layer_set_flags(l, blk, 0, BLOCK_LOADING);
  struct vhd_request *woken = waiters_take(&l->bitmaps.waiting, NULL, NULL);
  woken = waiters_take(&l->blocks, &l->state[blk], woken);
  pthread_mutex_unlock(&l->lock);
  waiters_wake(woken);
  return result < 0 ? request_done(req, result) : request_return(req);
}
