/* SPDX-License-Identifier: BSD-2-Clause */
/* image.c: the block table, waiting, and epochs; see image.h. */
#include "config.h"

#include <assert.h>

#include "image/image.h"
#include "image/request.h"

/* ------------------------------------------------------------- block table */

/* A lockless reader sees a block's entry and state as they were together: the
 * sequence is odd while they change.  The stores between are releases, so none
 * can be seen before the odd value. */
static uint32_t
table_open(struct vhd_image *img)
{
  uint32_t seq = atomic_load_explicit(&img->table_seq, memory_order_relaxed);

  atomic_store_explicit(&img->table_seq, seq + 1, memory_order_relaxed);
  return seq + 2;
}

static void
table_close(struct vhd_image *img, uint32_t seq)
{
  atomic_store_explicit(&img->table_seq, seq, memory_order_release);
}

void
image_set_block(struct vhd_image *img, uint32_t blk, uint32_t slot,
                enum summary summary)
{
  uint8_t state = (img->state[blk] & ~BITS_MASK) | summary;
  bool had = img->bat[blk] != NO_SLOT, has = slot != NO_SLOT;
  uint32_t seq = table_open(img);

  atomic_store_explicit(&img->bat[blk], slot, memory_order_release);
  atomic_store_explicit(&img->state[blk], state, memory_order_release);
  table_close(img, seq);
  img->nallocated += (uint32_t)has - had;
}

void
image_set_flags(struct vhd_image *img, uint32_t blk, uint8_t set,
                uint8_t clear)
{
  uint8_t state = (img->state[blk] & ~clear) | set;

  atomic_store_explicit(&img->state[blk], state, memory_order_release);
}

/* ----------------------------------------------------------------- waiting */

void
image_park(struct vhd_image *img, struct vhd_request *req, const void *key)
{
  struct machine *m = machine_of(req);

  m->key = key;
  m->next = img->parked;
  img->parked = req;
}

/* The list is last in, first out; what is unparked goes in the order in which
 * it came. */
struct vhd_request *
image_unpark(struct vhd_image *img, const void *key)
{
  struct vhd_request *woken = NULL;
  struct vhd_request **link = &img->parked;

  while (*link) {
    struct vhd_request *req = *link;
    struct machine *m = machine_of(req);
    if (m->key != key) {
      link = &m->next;
      continue;
    }
    *link = m->next;
    m->next = woken;
    woken = req;
  }
  return woken;
}

void
image_wake(struct vhd_request *list)
{
  while (list) {
    struct vhd_request *req = list;
    list = machine_of(req)->next;
    req->wake(req);
  }
}

/* ------------------------------------------------------------------ epochs */

uint32_t
image_pin(struct vhd_image *img)
{
  for (;;) {
    uint32_t epoch = atomic_load(&img->epoch);
    atomic_fetch_add(&img->inflight[epoch & 1], 1);
    if (atomic_load(&img->epoch) == epoch)
      return epoch;
    atomic_fetch_sub(&img->inflight[epoch & 1], 1);
  }
}

void
image_unpin(struct vhd_image *img, uint32_t epoch)
{
  uint32_t before = atomic_fetch_sub(&img->inflight[epoch & 1], 1);

  assert(before > 0);
}

void
image_try_advance(struct vhd_image *img)
{
  uint32_t epoch = atomic_load(&img->epoch);

  if (atomic_load(&img->inflight[(epoch + 1) & 1]) == 0)
    atomic_store(&img->epoch, epoch + 1);
}
