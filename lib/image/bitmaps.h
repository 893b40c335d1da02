/* SPDX-License-Identifier: BSD-2-Clause */
/* bitmaps.h: the bounded cache of mixed sector bitmaps of one layer.
 *
 * Blocks whose bitmap is all ones or all zeros need none: their summary is in
 * the block table.  An entry that is dirty, frozen for a commit, being read, or
 * whose block is BUSY stays; any other may be put out.
 *
 * All functions: caller holds the layer's lock. */
#ifndef IMAGE_BITMAPS_H
#define IMAGE_BITMAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/waiters.h"

struct layer;

enum bitmap_flags {
  BITMAP_USED = 1 << 0,    /* the entry belongs to a block */
  BITMAP_LOADING = 1 << 1, /* a request is reading it */
  BITMAP_DIRTY = 1 << 2,   /* changed since the last freeze */
  BITMAP_FROZEN = 1 << 3,  /* its twin is being written by a commit */
  BITMAP_RECENT = 1 << 4,  /* looked at since the clock's hand passed */
};

struct bitmap {
  uint32_t blk;
  uint32_t next; /* in its hash chain; an index + 1 */
  uint8_t flags;
};

struct bitmaps {
  uint32_t bytes;    /* of one bitmap, whole sectors */
  uint32_t n;        /* entries */
  bool all;          /* there is one for every block: none is ever put out */
  uint32_t ndirty;
  struct waiters waiting; /* for an entry that can be put out */
  uint32_t hand;
  uint32_t hash_mask;
  uint32_t *hash;    /* index + 1 */
  struct bitmap *entry;
  uint8_t *bits;     /* n bitmaps; touched only as used */
  uint8_t *twin;     /* n frozen copies; the same */
};

/* writable: with twins.  0 or -ENOMEM. */
int bitmaps_init(struct bitmaps *c, uint32_t nblk, uint32_t bitmap_bytes,
                 bool writable);
/* Makes it hold n at least, however many are dirty; only while it is empty.  0
 * or -ENOMEM. */
int bitmaps_reserve(struct bitmaps *c, uint32_t n);
void bitmaps_destroy(struct bitmaps *c);

/* NULL if there is none; one that is LOADING is returned too. */
struct bitmap *bitmaps_find(struct bitmaps *c, uint32_t blk);
/* The block's entry, made anew (contents undefined) where there is none.
 * NULL if none can be put out. */
struct bitmap *bitmaps_claim(struct layer *layer, uint32_t blk);
void bitmaps_drop(struct bitmaps *c, struct bitmap *b);

/* The block needs it no longer: dropped, or if a commit still writes its twin,
 * left to be put out later. */
void bitmaps_forget(struct bitmaps *c, struct bitmap *b);

uint8_t *bitmaps_bits(struct bitmaps *c, const struct bitmap *b);
uint8_t *bitmaps_twin(struct bitmaps *c, const struct bitmap *b);

void bitmaps_mark_dirty(struct bitmaps *c, struct bitmap *b);
/* So many entries may be dirty and leave the cache usable: half of it, while
 * as many again are frozen. */
uint32_t bitmaps_limit(const struct bitmaps *c);
/* Copies a dirty bitmap to its twin: dirty -> frozen. */
void bitmaps_freeze(struct bitmaps *c, struct bitmap *b);
/* Ends that: failed makes it dirty again. */
void bitmaps_thaw(struct bitmaps *c, struct bitmap *b, bool failed);

#endif
