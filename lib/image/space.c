/* SPDX-License-Identifier: BSD-2-Clause */
/* space.c: see space.h. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/arith.h"
#include "base/rules.h"
#include "base/table.h"
#include "image/image.h"

/* The runway's steps, in slots: 8 MiB to 256 MiB for blocks of 2 MiB. */
#define FIRST_STEP 4
#define LAST_STEP 128
#define MAX_STEP (256ULL << 20)
#define FILE_ALIGN 4096

static uint64_t
step_bytes(const struct space *s, unsigned slots)
{
  return MIN((uint64_t)slots * s->stride * 512, MAX_STEP);
}

/* So many free slots are looked at for one that nobody holds. */
#define FREE_LOOKS 16

/* Tells whoever drives requests that there is something to reclaim. */
static void
note_background(struct vhd_image *img)
{
  atomic_store(&img->background, space_nretired(&img->space) > 0);
}

static void
push_free(struct space *s, uint32_t slot, uint32_t epoch, bool dirty)
{
  if (s->free_tail - s->free_head > s->free_mask)
    return; /* more free slots than blocks: the next opener finds it again */
  s->free[s->free_tail++ & s->free_mask] =
    (struct free_slot){ slot, epoch, dirty };
}

/* The free slots within [from, to) sectors.  A file may go on behind the last
 * sector that a table can name. */
static void
add_gap(struct vhd_image *img, uint64_t from, uint64_t to)
{
  struct space *s = &img->space;
  uint64_t slot = layer_align_slot(img->top, from);

  to = MIN(to, NO_SLOT);
  for (; slot + s->slot_sec <= to;
       slot = layer_align_slot(img->top, slot + s->slot_sec))
    push_free(s, (uint32_t)slot, img->epoch - 2, true);
}

/* What lies between metadata and blocks is free. */
static void
find_gaps(struct vhd_image *img, const struct layout *l)
{
  struct space *s = &img->space;
  struct layout_walk walk;
  uint64_t end = 0, from, to;

  layout_walk_begin(&walk, l);
  while (layout_walk_next(&walk, &from, &to)) {
    if (from / 512 > end)
      add_gap(img, end, from / 512);
    end = MAX(end, DIV_ROUND_UP(to, 512));
  }
  s->next = layer_align_slot(img->top, end);
}

/* Does a whole slot there hold nothing else? */
static bool
is_whole(const struct space *s, const struct layout *l, uint32_t slot)
{
  uint64_t off = (uint64_t)slot * 512, end = off + s->slot_sec * 512ULL;

  if (slots_next(&l->slots, (uint64_t)slot + 1) < end / 512 ||
      end > l->footer_off)
    return false;
  for (unsigned i = 0; i < l->nregion; i++)
    if (l->region[i].off >= off && l->region[i].off < end)
      return false;
  return true;
}

/* Only the last block can be cut short. */
static void
find_short_slot(struct vhd_image *img, const struct layout *l)
{
  const struct layer *top = img->top;
  struct space *s = &img->space;
  uint32_t last = DIV_ROUND_UP(top->size, 512ULL * top->spb) - 1;

  s->short_slot = NO_SLOT;
  s->short_sec = top->bitmap_sec + layer_block_sectors(top, last);
  if (s->short_sec == s->slot_sec)
    return;
  uint32_t slot = layer_slot(top, last);
  if (slot != NO_SLOT && !is_whole(s, l, slot))
    s->short_slot = slot;
}

int
space_init(struct vhd_image *img, const struct layout *l)
{
  struct space *s = &img->space;

  s->slot_sec = img->top->bitmap_sec + img->top->spb;
  s->stride = round_up(s->slot_sec, 8);
  /* Not every file ends on a sector.  Where there is no footer, its last bytes
   * belong to the runway, to be cleaned with it. */
  s->end_footer = l->end_footer;
  s->end = l->end_footer ? l->footer_off / 512
                         : DIV_ROUND_UP(l->footer_off, 512);
  s->straddles = l->end_footer && l->footer_off % 512 != 0;
  s->file_size = l->file_size;
  s->dirty = true;
  s->step = step_bytes(s, FIRST_STEP);
  s->reserve = l->footer.type == VHD_DYNAMIC;
  footer_format(&l->footer, s->footer);

  s->free_mask = 1;
  while (s->free_mask < img->top->nblk)
    s->free_mask *= 2;
  s->free_mask--;
  s->free = table_zeroed(s->free_mask + 1, sizeof *s->free);
  s->held = table_zeroed(s->free_mask + 1, sizeof *s->held);
  s->left = table_zeroed(SPACE_PENDING, sizeof *s->left);
  if (!s->free || !s->held || !s->left)
    return -ENOMEM;
  find_gaps(img, l);
  s->held_origin = (uint32_t)(s->next % s->stride);
  s->reserved_from = UINT64_MAX;
  find_short_slot(img, l);
  return 0;
}

void
space_give_back(struct vhd_image *img)
{
  struct space *s = &img->space;

  for (uint32_t n = 0; n < SPACE_PENDING / 2 && s->free_head != s->free_tail;
       n++) {
    struct free_slot f = s->free[s->free_head++ & s->free_mask];
    s->left[s->pending_head++ & (SPACE_PENDING - 1)] =
      (struct left_slot){ f.slot, f.epoch };
    s->nleft++;
  }
  s->touched = true;
  note_background(img);
}

void
space_destroy(struct space *s)
{
  table_free(s->free, s->free_mask + 1, sizeof *s->free);
  table_free((void *)s->held, s->free_mask + 1, sizeof *s->held);
  table_free(s->left, SPACE_PENDING, sizeof *s->left);
}

/* Off the runway's grid a slot lies in two places of it; then somebody's hold
 * on a neighbour is taken for one on it, which does no harm. */
static bool
is_held(struct space *s, uint32_t slot)
{
  uint64_t first = slot * 512ULL, last = first + s->slot_sec * 512ULL - 1;

  return (atomic_load(space_hold_of(s, first)) != 0 ||
          atomic_load(space_hold_of(s, last)) != 0) && RULE(HOLD);
}

/* Can nobody look at what was left in this epoch? */
static bool
is_quiet(struct vhd_image *img, uint32_t epoch)
{
  image_try_advance(img);
  return (int32_t)(img->epoch - epoch) >= 2 || !RULE(EPOCH);
}

/* Those that are held are passed over, a few at a time. */
static bool
take_free(struct vhd_image *img, struct taken_slot *taken)
{
  struct space *s = &img->space;

  for (unsigned i = 0; i < FREE_LOOKS && s->free_head != s->free_tail; i++) {
    struct free_slot f = s->free[s->free_head & s->free_mask];
    if (!is_quiet(img, f.epoch))
      return false;
    s->free_head++;
    if (!is_held(s, f.slot)) {
      *taken = (struct taken_slot){ f.slot, f.dirty, true };
      return true;
    }
    push_free(s, f.slot, f.epoch, f.dirty);
  }
  return false;
}

/* The first of the retired is taken out of the ring. */
static void
drop_retired(struct vhd_image *img)
{
  img->space.retired_head++;
  img->space.nleft--;
  note_background(img);
}

static bool
take_retired(struct vhd_image *img, struct taken_slot *taken)
{
  struct space *s = &img->space;
  struct left_slot *left = &s->left[s->retired_head & (SPACE_PENDING - 1)];

  if (space_nretired(s) == 0 || left->slot == s->short_slot ||
      !is_quiet(img, left->epoch) || is_held(s, left->slot))
    return false;
  *taken = (struct taken_slot){ left->slot, true, true };
  drop_retired(img);
  return true;
}

bool
space_take(struct vhd_image *img, struct taken_slot *taken)
{
  struct space *s = &img->space;

  if (take_free(img, taken) || take_retired(img, taken))
    return true;
  if ((s->dirty && RULE(RUNWAY)) ||
      s->next + s->slot_sec > MIN(s->end, NO_SLOT))
    return false;
  *taken = (struct taken_slot){
    (uint32_t)s->next, false, s->next < s->reserved_from
  };
  s->next += s->stride;
  s->touched = true;
  return true;
}

/* No table ever led to it: it is before those that are retired.  Where others
 * may need the room, it is cleaned by who uses it next. */
void
space_untake(struct vhd_image *img, uint32_t slot)
{
  struct space *s = &img->space;
  const struct budget *left = &img->commit.budgets.of[BUDGET_SLOTS];

  if (s->nleft + left->reserved >= left->limit) {
    push_free(s, slot, img->epoch, true);
    return;
  }
  s->left[--s->retired_head & (SPACE_PENDING - 1)] =
    (struct left_slot){ slot, img->epoch };
  s->nleft++;
  s->touched = true;
  note_background(img);
}

void
space_forget_free(struct vhd_image *img)
{
  img->space.free_head = img->space.free_tail;
}

void
space_retire(struct vhd_image *img, uint32_t slot)
{
  struct space *s = &img->space;

  assert(s->nleft < SPACE_PENDING);
  s->touched = true;
  if (!RULE(RETIRE)) {
    push_free(s, slot, img->epoch, true);
    return;
  }
  s->left[space_mark(s) & (SPACE_PENDING - 1)] =
    (struct left_slot){ slot, img->epoch };
  s->nleft++;
}

void
space_committed(struct vhd_image *img, uint32_t mark)
{
  img->space.pending_head = mark;
  note_background(img);
}

bool
space_begin_reclaim(struct vhd_image *img, struct left_slot *left)
{
  struct space *s = &img->space;

  if (space_nretired(s) == 0)
    return false;
  *left = s->left[s->retired_head & (SPACE_PENDING - 1)];
  drop_retired(img);
  return true;
}

void
space_end_reclaim(struct vhd_image *img, const struct left_slot *left,
                  bool clean)
{
  struct space *s = &img->space;

  if (left->slot == s->short_slot)
    s->short_slot = NO_SLOT; /* no block fits in there */
  else
    push_free(s, left->slot, left->epoch, !clean);
}

enum space_outlook
space_outlook(struct vhd_image *img)
{
  struct space *s = &img->space;

  if (s->free_head == s->free_tail)
    return SPACE_NONE;
  image_try_advance(img);
  return is_quiet(img, s->free[s->free_head & s->free_mask].epoch)
           ? SPACE_NOW : SPACE_LATER;
}

/* Invariant: next + slot_sec > end, or the runway is dirty. */
int
space_plan_growth(struct vhd_image *img)
{
  struct space *s = &img->space;
  uint64_t least = s->next + s->stride;
  uint64_t size = MAX(s->end * 512 + s->step, least * 512 + FOOTER_SIZE);

  size = round_up(size, FILE_ALIGN);
  if (size / 512 > NO_SLOT)
    size = round_up(least * 512 + FOOTER_SIZE, FILE_ALIGN);
  if (size / 512 > NO_SLOT)
    return -EFBIG;
  s->grow_end = size;
  return 0;
}

bool
space_shorten_step(struct vhd_image *img)
{
  struct space *s = &img->space;

  if (s->step == 0)
    return false;
  s->step = s->step > step_bytes(s, FIRST_STEP) ? s->step / 2 : 0;
  return true;
}

uint64_t
space_old_footer(const struct space *s, uint64_t *off)
{
  *off = s->end * 512;
  if (!s->end_footer || s->end < s->next)
    return 0; /* none, or in a short block's place */
  return s->straddles ? 1024 : 512;
}

void
space_grown(struct vhd_image *img, bool wiped)
{
  struct space *s = &img->space;

  s->dirty |= !wiped;
  if (!wiped || !s->reserve)
    s->reserved_from = UINT64_MAX;
  else if (s->reserved_from == UINT64_MAX) /* not the part that was found */
    s->reserved_from = s->end;
  s->straddles = false;
  s->touched = true;
  s->file_size = s->grow_end;
  s->end = s->grow_end / 512 - 1;
  s->end_footer = true;
  s->step = MIN(MAX(s->step * 2, step_bytes(s, FIRST_STEP)),
                step_bytes(s, LAST_STEP));
}

uint64_t
space_used_end(struct vhd_image *img)
{
  const struct layer *l = img->top;
  uint64_t end = 0;

  for (unsigned i = 0; i < l->layout.nregion; i++)
    end = MAX(end, l->layout.region[i].off + l->layout.region[i].len);
  for (uint32_t blk = 0; (blk = bat_next(&l->bat, blk, l->bat.n)) < l->bat.n;
       blk++)
    end = MAX(end, ((uint64_t)layer_slot(l, blk) + img->space.slot_sec) * 512);
  return end;
}
