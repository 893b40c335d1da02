/* SPDX-License-Identifier: BSD-2-Clause */
/* commit.c: see commit.h for the order and the invariants.
 *
 * The phases of a leader, in order; each may ask for I/O several times:
 *   lead -> sync_data -> synced_data -> write_metadata -> synced_metadata
 *     -> punch_retired
 * A failure anywhere goes to `finish` with the error; the frozen part then
 * becomes current again, to be tried by the next commit. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/bytes.h"
#include "base/rules.h"
#include "image/image.h"
#include "image/request.h"

/* --------------------------------------------------------------- dirty set */

#define HASH_SIZE (2 * DIRTY_MAX)

int
commit_init(struct vhd_image *img)
{
  struct commit *c = &img->commit;
  uint32_t bitmap_bytes = img->top->bitmap_sec * 512;

  if (img->top->fixed)
    return 0;
  c->dirty = calloc(DIRTY_MAX, sizeof *c->dirty);
  c->hash = calloc(HASH_SIZE, sizeof *c->hash);
  c->bat_sectors = calloc(DIV_ROUND_UP(img->top->nblk, 128 * 8) + 1, 1);
  c->bat_buf = malloc(COMMIT_BAT_SECTORS * 512);
  c->ones = malloc(bitmap_bytes);
  if (!c->dirty || !c->hash || !c->bat_sectors || !c->bat_buf || !c->ones)
    return -ENOMEM;
  memset(c->ones, 0xff, bitmap_bytes);
  if (img->top->layout.has_batmap) {
    c->batmap = img->top->layout.batmap_bits;
    c->batmap_bytes = img->top->layout.batmap.nsec * 512;
    c->batmap_buf = malloc(BATMAP_HEADER_SIZE + c->batmap_bytes);
    if (!c->batmap_buf)
      return -ENOMEM;
  }
  return 0;
}

void
commit_destroy(struct commit *c)
{
  free(c->dirty);
  free(c->hash);
  free(c->bat_sectors);
  free(c->bat_buf);
  free(c->ones);
  free(c->batmap_buf);
}

/* The bucket that holds blk, or the empty one where it would go. */
static uint32_t
hash_find(const struct commit *c, uint32_t blk)
{
  uint32_t h = blk * 2654435761U >> 16;

  for (;; h++) {
    h &= HASH_SIZE - 1;
    if (c->hash[h] == 0 || c->dirty[c->hash[h] - 1].blk == blk)
      return h;
  }
}

static struct dirty *
dirty_find(const struct commit *c, uint32_t blk)
{
  uint32_t h = hash_find(c, blk);

  return c->hash[h] ? &c->dirty[c->hash[h] - 1] : NULL;
}

/* Takes a bucket out of a linear probing sequence: those behind move up. */
static void
hash_delete(struct commit *c, uint32_t blk)
{
  uint32_t hole = hash_find(c, blk);

  for (uint32_t i = (hole + 1) & (HASH_SIZE - 1); c->hash[i] != 0;
       i = (i + 1) & (HASH_SIZE - 1)) {
    uint32_t home = c->dirty[c->hash[i] - 1].blk * 2654435761U >> 16 &
                    (HASH_SIZE - 1);
    if (((i - home) & (HASH_SIZE - 1)) >= ((i - hole) & (HASH_SIZE - 1))) {
      c->hash[hole] = c->hash[i];
      hole = i;
    }
  }
  c->hash[hole] = 0;
}

static void
dirty_delete(struct vhd_image *img, struct dirty *d)
{
  struct commit *c = &img->commit;
  struct dirty *last = &c->dirty[c->ndirty - 1];

  hash_delete(c, d->blk);
  layer_set_flags(img->top, d->blk, 0, BLOCK_DIRTY);
  if (d != last) {
    c->hash[hash_find(c, last->blk)] = (uint32_t)(d - c->dirty) + 1;
    *d = *last;
  }
  c->ndirty--;
}

bool
commit_reserve(struct vhd_image *img, const struct need *need,
               enum budget_kind *lacking)
{
  struct commit *c = &img->commit;
  struct budget *of = c->budgets.of;

  of[BUDGET_DIRTY].limit = DIRTY_MAX;
  of[BUDGET_DIRTY].used = c->ndirty;
  of[BUDGET_BITMAPS].limit = bitmaps_limit(&img->top->bitmaps);
  of[BUDGET_BITMAPS].used = img->top->bitmaps.ndirty;
  of[BUDGET_RECORDS].limit = UINT32_MAX;
  if (img->journal) {
    of[BUDGET_RECORDS].used = journal_used(img->journal);
    of[BUDGET_RECORDS].limit =
      journal_used(img->journal) + journal_room(img->journal);
  }
  of[BUDGET_SLOTS].limit = SPACE_PENDING;
  of[BUDGET_SLOTS].used = space_npending(&img->space);
  return budgets_reserve(&c->budgets, need, lacking);
}

void
commit_note(struct vhd_image *img, uint32_t blk, uint32_t before, bool bitmap)
{
  struct commit *c = &img->commit;
  struct dirty *d = dirty_find(c, blk);

  if (!d) {
    assert(c->ndirty < DIRTY_MAX);
    d = &c->dirty[c->ndirty];
    *d = (struct dirty){ .blk = blk, .disk = before };
    uint32_t h = hash_find(c, blk);
    c->hash[h] = ++c->ndirty;
    layer_set_flags(img->top, blk, BLOCK_DIRTY, 0);
  }
  d->flags |= DIRTY_CURRENT | (bitmap ? DIRTY_BITMAP : 0);

  /* Xen takes a set bit for "the whole block is here". */
  if (c->batmap && blk < c->batmap_bytes * 8 && bitmap_test(c->batmap, blk)) {
    bitmap_clear(c->batmap, blk, 1);
    c->batmap_dirty = true;
  }
}

/* ------------------------------------------------------------------ freeze */

static void
freeze_block(struct vhd_image *img, struct dirty *d)
{
  struct commit *c = &img->commit;
  struct bitmap *b = bitmaps_find(&img->top->bitmaps, d->blk);
  uint8_t state = img->top->state[d->blk];

  d->frozen = img->top->bat[d->blk];
  if (d->frozen == NO_SLOT) {
    /* nothing to say of a bitmap */
  } else if (summary_of(state) == BITS_ALL && d->flags & DIRTY_BITMAP) {
    d->flags |= DIRTY_ONES;
  } else if (b && b->flags & BITMAP_DIRTY) {
    bitmaps_freeze(&img->top->bitmaps, b);
    d->flags |= DIRTY_TWIN;
  }
  if (d->frozen != d->disk || d->flags & DIRTY_UNSURE)
    bitmap_set(c->bat_sectors, d->blk / 128, 1);
  d->flags &= ~(DIRTY_CURRENT | DIRTY_BITMAP);
  d->flags |= DIRTY_FROZEN;
}

static void
freeze(struct vhd_image *img)
{
  struct commit *c = &img->commit;

  c->started++;
  c->seq = atomic_load(&img->write_seq);
  c->nfrozen = c->ndirty;
  c->pending_mark = img->space.pending_tail;
  c->journal_mark = img->journal ? journal_mark(img->journal) : 0;
  for (uint32_t i = 0; i < c->nfrozen; i++)
    freeze_block(img, &c->dirty[i]);
  c->metadata = c->nfrozen > 0 || c->batmap_dirty;
}

/* --------------------------------------------------------- leading, waiting */

static phase_fn wait_again, begin, lead, sync_data, synced_data,
  write_metadata, synced_metadata, punch_retired, punched;

/* Is there anything that a power cut would lose? */
static bool
all_durable(const struct vhd_image *img)
{
  const struct commit *c = &img->commit;

  return c->synced_seq == atomic_load(&img->write_seq) && c->ndirty == 0 &&
         space_npending(&img->space) == 0;
}

/* Does the commit under way cover all that was done so far? */
static bool
covered(const struct vhd_image *img)
{
  const struct commit *c = &img->commit;

  if (c->seq != atomic_load(&img->write_seq) || c->ndirty != c->nfrozen)
    return false;
  for (uint32_t i = 0; i < c->ndirty; i++)
    if (c->dirty[i].flags & DIRTY_CURRENT)
      return false;
  return true;
}

static enum vhd_step
leave(struct vhd_request *req, int result)
{
  struct machine *m = machine_of(req);

  return result < 0 ? request_done(req, result)
                    : request_next(req, m->after_commit);
}

/* Waits for commit number commit_target, or leads it; lock is held. */
static enum vhd_step
wait_or_lead(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);
  struct commit *c = &img->commit;

  if (c->ended >= m->commit_target) {
    int result = c->last_ok >= m->commit_target ? 0 : c->last_error;
    pthread_mutex_unlock(&img->top->lock);
    return leave(req, result);
  }
  int failed = atomic_load(&img->failed); /* perhaps while it waited */
  if (failed < 0) {
    pthread_mutex_unlock(&img->top->lock);
    return leave(req, failed);
  }
  if (c->leader)
    return request_park(req, img->top, c, wait_again);
  c->leader = req;
  c->gathering = true;
  m->phase = begin;
  pthread_mutex_unlock(&img->top->lock);
  req->wake(req);
  return VHD_STEP_PARKED;
}

static enum vhd_step
begin(struct vhd_request *req)
{
  struct vhd_image *img = req->image;

  pthread_mutex_lock(&img->top->lock);
  img->commit.gathering = false;
  freeze(img);
  pthread_mutex_unlock(&img->top->lock);
  machine_of(req)->commit_pos = 0;
  return request_next(req, lead);
}

static enum vhd_step
wait_again(struct vhd_request *req)
{
  pthread_mutex_lock(&req->image->top->lock);
  return wait_or_lead(req);
}

enum vhd_step
request_commit(struct vhd_request *req, phase_fn *after)
{
  struct vhd_image *img = req->image;

  pthread_mutex_lock(&img->top->lock);
  bool durable = !img->commit.leader && all_durable(img);
  pthread_mutex_unlock(&img->top->lock);
  return durable ? request_next(req, after) : request_make_room(req, after);
}

enum vhd_step
request_make_room(struct vhd_request *req, phase_fn *after)
{
  struct vhd_image *img = req->image;
  struct machine *m = machine_of(req);
  struct commit *c = &img->commit;

  request_unpin(req);
  m->after_commit = after;
  pthread_mutex_lock(&img->top->lock);
  bool on_board = c->leader && !c->gathering && covered(img);
  m->commit_target = c->started + !on_board;
  return wait_or_lead(req);
}

/* The end of a commit, good or bad.  The leader goes on to punch. */
static enum vhd_step
finish(struct vhd_request *req, int result)
{
  struct vhd_image *img = req->image;
  struct commit *c = &img->commit;

  pthread_mutex_lock(&img->top->lock);
  for (uint32_t i = c->nfrozen; i-- > 0;) {
    struct dirty *d = &c->dirty[i];
    bool bitmap = d->flags & (DIRTY_TWIN | DIRTY_ONES);
    if (d->flags & DIRTY_TWIN)
      bitmaps_thaw(&img->top->bitmaps, bitmaps_find(&img->top->bitmaps, d->blk),
                   result < 0 &&
                   summary_of(img->top->state[d->blk]) == BITS_MIXED);
    if (result < 0 && RULE(FAILED_ENTRY))
      d->flags |= DIRTY_CURRENT | (bitmap ? DIRTY_BITMAP : 0);
    d->flags &= ~(DIRTY_FROZEN | DIRTY_TWIN | DIRTY_ONES);
    if (result == 0 || !RULE(FAILED_ENTRY)) {
      d->disk = d->frozen;
      d->flags &= ~DIRTY_UNSURE;
      if (!(d->flags & DIRTY_CURRENT))
        dirty_delete(img, d);
    }
  }
  if (c->metadata)
    memset(c->bat_sectors, 0, DIV_ROUND_UP(img->top->nblk, 128 * 8) + 1);
  c->nfrozen = 0;
  c->ended = c->started;
  if (result == 0) {
    c->last_ok = c->ended;
    c->synced_seq = c->seq;
    if (img->journal)
      journal_trim(img->journal, c->journal_mark);
  } else {
    c->last_error = result;
    c->batmap_dirty |= c->batmap != NULL;
    c->pending_mark = img->space.pending_head;
  }
  pthread_mutex_unlock(&img->top->lock);
  machine_of(req)->commit_result = result;
  return request_next(req, punch_retired);
}

/* A sync that failed may have dropped what it was to write: whatever was
 * acknowledged since the last good one may be gone, and the kernel will not say
 * so again. */
static enum vhd_step
finish_sync(struct vhd_request *req, int result)
{
  if (result < 0 && RULE(FAILED_SYNC))
    atomic_store(&req->image->failed, result);
  return finish(req, result);
}

/* ------------------------------------------------------- before the barrier */

static enum vhd_step
lead(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct commit *c = &img->commit;

  req->nio = 0;
  if (!c->metadata)
    return request_next(req, sync_data);

  uint8_t *map = NULL;
  pthread_mutex_lock(&img->top->lock);
  bool batmap = c->batmap_dirty;
  c->batmap_dirty = false;
  if (batmap) {
    map = c->batmap_buf + BATMAP_HEADER_SIZE;
    memcpy(map, c->batmap, c->batmap_bytes);
  }
  pthread_mutex_unlock(&img->top->lock);
  if (batmap) {
    const struct batmap *bm = &img->top->layout.batmap;
    batmap_format(bm, map, c->batmap_bytes, c->batmap_buf);
    request_add_io(req, img->top->file, VHD_IO_WRITE,
                   batmap_header_off(&img->top->header), BATMAP_HEADER_SIZE,
                   c->batmap_buf, 0);
    request_add_io(req, img->top->file, VHD_IO_WRITE, bm->off,
                   c->batmap_bytes, map, 0);
    return request_io(req, sync_data);
  }
  return request_next(req, sync_data);
}

static enum vhd_step
sync_data(struct vhd_request *req)
{
  int result = request_io_result(req);

  if (result < 0)
    return finish(req, result);
  req->nio = 0;
  if (!RULE(SYNC_DATA) && req->image->commit.metadata)
    return request_next(req, synced_data);
  request_add_io(req, req->image->top->file, VHD_IO_SYNC, 0, 0, NULL, 0);
  return request_io(req, synced_data);
}

/* ------------------------------------------------------- behind the barrier */

static enum vhd_step
synced_data(struct vhd_request *req)
{
  int result = request_io_result(req);

  if (result < 0 || !req->image->commit.metadata)
    return finish_sync(req, result);
  req->nio = 0;
  machine_of(req)->commit_pos = 0;
  return request_next(req, write_metadata);
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
    return img->top->bat[blk];
  const struct dirty *d = dirty_find(&img->commit, blk);
  if (!RULE(FREEZE_ENTRY))
    return img->top->bat[blk];
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
}

/* A BAT write that failed may have reached the disk in part. */
static void
mark_unsure(struct vhd_image *img)
{
  struct commit *c = &img->commit;

  pthread_mutex_lock(&img->top->lock);
  for (uint32_t i = 0; i < c->nfrozen; i++)
    if (c->dirty[i].frozen != c->dirty[i].disk)
      c->dirty[i].flags |= DIRTY_UNSURE;
  pthread_mutex_unlock(&img->top->lock);
}

static enum vhd_step
write_metadata(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  int result = request_io_result(req);

  if (result < 0) {
    mark_unsure(img);
    return finish(req, result);
  }
  if (gather_bitmaps(req))
    return request_io(req, write_metadata);
  pthread_mutex_lock(&img->top->lock);
  gather_bat(req);
  pthread_mutex_unlock(&img->top->lock);
  if (req->nio > 0)
    return request_io(req, write_metadata);
  if (!RULE(SYNC_METADATA))
    return finish(req, 0);
  request_add_io(req, img->top->file, VHD_IO_SYNC, 0, 0, NULL, 0);
  return request_io(req, synced_metadata);
}

static enum vhd_step
synced_metadata(struct vhd_request *req)
{
  int result = request_io_result(req);

  if (result < 0)
    mark_unsure(req->image);
  return finish_sync(req, result);
}

/* ----------------------------------------------------------------- punching */

/* Slots that no durable entry leads to any more.  The commit is over: those who
 * waited for it go on when the leader gives the lead up, which it does here,
 * unless there is something to punch. */
static enum vhd_step
punch_retired(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct space *s = &img->space;
  struct commit *c = &img->commit;
  int result = machine_of(req)->commit_result;

  req->nio = 0;
  pthread_mutex_lock(&img->top->lock);
  if (!img->top->fixed)
    for (uint32_t i = s->pending_head;
         i != c->pending_mark && req->nio < VHD_REQUEST_IOS; i++) {
      uint32_t slot = s->pending[i & (SPACE_PENDING - 1)].slot;
      request_add_io(req, img->top->file, VHD_IO_PUNCH, slot * 512ULL,
                     space_slot_bytes(s, slot), NULL, 0);
    }
  if (req->nio > 0) {
    image_try_advance(img);
    c->punch_epoch = img->epoch;
    struct vhd_request *woken = layer_unpark(img->top, c);
    pthread_mutex_unlock(&img->top->lock);
    request_wake(woken);
    return request_io(req, punched);
  }
  c->leader = NULL;
  struct vhd_request *woken = layer_unpark(img->top, c);
  pthread_mutex_unlock(&img->top->lock);
  request_wake(woken);
  return leave(req, result);
}

/* A slot that could not be punched is free all the same, but dirty; so is one
 * that an old request may have written to meanwhile. */
static enum vhd_step
punched(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct space *s = &img->space;

  pthread_mutex_lock(&img->top->lock);
  for (unsigned i = 0; i < req->nio; i++) {
    uint32_t epoch = s->pending[s->pending_head & (SPACE_PENDING - 1)].epoch;
    bool quiet = (int32_t)(img->commit.punch_epoch - epoch) >= 2;
    space_recycle(img, req->io[i].result == 0 && quiet);
  }
  pthread_mutex_unlock(&img->top->lock);
  return request_next(req, punch_retired);
}
