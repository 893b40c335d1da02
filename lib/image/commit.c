/* SPDX-License-Identifier: BSD-2-Clause */
/* commit.c: see commit.h for the order and the invariants.
 *
 * The phases of a leader, in order; each may ask for I/O several times:
 *   lead -> sync_data -> synced_data -> write_metadata -> synced_metadata
 * A failure anywhere goes to `finish` with the error; the frozen part then
 * becomes current again, to be tried by the next commit. */
#include "config.h"

#include <string.h>

#include "base/arith.h"
#include "base/bitmap.h"
#include "base/rules.h"
#include "image/image.h"
#include "image/request.h"

/* ------------------------------------------------------------------ freeze */

static void
freeze_block(struct vhd_image *img, struct dirty *d)
{
  struct commit *c = &img->commit;
  struct bitmap *b = bitmaps_find(&img->top->bitmaps, d->blk);
  uint8_t state = img->top->state[d->blk];

  d->frozen = layer_slot(img->top, d->blk);
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
  c->pending_mark = space_mark(&img->space);
  c->journal_mark = img->journal ? journal_mark(img->journal) : 0;
  for (uint32_t i = 0; i < c->nfrozen; i++)
    freeze_block(img, &c->dirty[i]);
  c->metadata = c->nfrozen > 0 || c->batmap_dirty;
}

/* --------------------------------------------------------- leading, waiting */

static phase_fn settled, wait_again, begin, lead, sync_data, synced_data,
  write_metadata, synced_metadata;

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

/* After a failed sync no commit is good, whoever heard of the failure. */
static enum vhd_step
leave(struct vhd_request *req, int result)
{
  if (result == 0)
    result = atomic_load(&req->image->failed);
  return result < 0 ? request_done(req, result) : request_return(req);
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
    return request_park(req, img->top, &c->waiting, NULL, wait_again);
  c->leader = req;
  c->gathering = true;
  pthread_mutex_unlock(&img->top->lock);
  req->leads = true;
  return request_step_back(req, begin);
}

static enum vhd_step
begin(struct vhd_request *req)
{
  struct vhd_image *img = req->image;

  req->leads = false;
  pthread_mutex_lock(&img->top->lock);
  img->commit.gathering = false;
  freeze(img);
  pthread_mutex_unlock(&img->top->lock);
  machine_of(req)->commit_pos = 0;
  return request_next(req, lead);
}

/* Mostly it was woken because that commit has ended well. */
static enum vhd_step
wait_again(struct vhd_request *req)
{
  if (atomic_load(&req->image->commit.last_ok) >=
      machine_of(req)->commit_target)
    return leave(req, 0);
  pthread_mutex_lock(&req->image->top->lock);
  return wait_or_lead(req);
}

/* Waits for the first commit that covers all that was done; lock is held. */
static enum vhd_step
board(struct vhd_request *req, phase_fn *back)
{
  struct vhd_image *img = req->image;
  struct commit *c = &img->commit;

  request_call(req, wait_again, back);
  bool on_board = c->leader && !c->gathering && covered(img);
  machine_of(req)->commit_target = c->started + !on_board;
  return wait_or_lead(req);
}

enum vhd_step
request_durable(struct vhd_request *req, phase_fn *back)
{
  struct vhd_image *img = req->image;

  request_unpin(req);
  pthread_mutex_lock(&img->top->lock);
  int failed = atomic_load(&img->failed);
  if (failed == 0 && (img->commit.leader || !all_durable(img)))
    return board(req, back);
  pthread_mutex_unlock(&img->top->lock);
  return failed < 0 ? request_done(req, failed) : request_next(req, back);
}

enum vhd_step
request_make_room(struct vhd_request *req, phase_fn *back)
{
  request_unpin(req);
  pthread_mutex_lock(&req->image->top->lock);
  return board(req, back);
}

/* The end of a commit, good or bad. */
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
        commit_forget(img, d);
    }
  }
  if (c->metadata)
    memset(c->bat_sectors, 0, DIV_ROUND_UP(img->top->nblk, 128 * 8) + 1);
  c->nfrozen = 0;
  c->ended = c->started;
  if (result == 0) {
    c->last_ok = c->ended;
    c->synced_seq = c->seq;
    space_committed(img, c->pending_mark);
    if (img->journal)
      commit_trim(img, c->journal_mark);
  } else {
    c->last_error = result;
    c->batmap_dirty |= c->batmap != NULL;
  }
  c->leader = NULL;
  /* What was frozen may be put out of the cache. */
  struct vhd_request *woken =
    waiters_take(&img->top->bitmaps.waiting, NULL, NULL);
  woken = waiters_take(&c->waiting, NULL, woken);
  pthread_mutex_unlock(&img->top->lock);
  waiters_wake(woken);
  return leave(req, result);
}

/* The footer is durable, or is not. */
static enum vhd_step
settled(struct vhd_request *req)
{
  return finish(req, atomic_load(&req->image->failed));
}

/* A sync that failed may have dropped what it was to write: whatever was
 * acknowledged since the last good one may be gone, and the kernel will not say
 * so again.  It says so once: to us, or to who makes a footer durable at the
 * same time and is therefore waited for. */
static enum vhd_step
finish_sync(struct vhd_request *req, int result)
{
  struct vhd_image *img = req->image;

  if (result < 0 && RULE(FAILED_SYNC))
    atomic_store(&img->failed, result);
  pthread_mutex_lock(&img->top->lock);
  if (result == 0 && img->space.syncing)
    return request_park(req, img->top, &img->space.waiting, NULL, settled);
  pthread_mutex_unlock(&img->top->lock);
  return finish(req, result);
}

/* ------------------------------------------------------- before the barrier */

static enum vhd_step
lead(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  struct commit *c = &img->commit;

  if (c->metadata && metadata_batmap(req))
    return request_io(req, sync_data);
  req->nio = 0;
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

static enum vhd_step
write_metadata(struct vhd_request *req)
{
  struct vhd_image *img = req->image;
  int result = request_io_result(req);

  if (result < 0) {
    metadata_unsure(img);
    return finish(req, result);
  }
  if (metadata_gather(req))
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
    metadata_unsure(req->image);
  return finish_sync(req, result);
}
