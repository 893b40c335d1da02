/* SPDX-License-Identifier: BSD-2-Clause */
/* bat.h: a block allocation table in memory: the slot of each block.
 *
 * An entry is kept as its complement, so that one without a block is 0, and the
 * table lies in memory of zeros, of which only what is touched takes any.  For
 * each page of entries a bit says whether a slot was ever put there: who goes
 * through a table passes over the others.  So a table that holds little costs
 * little to read and to keep, however long it is.
 *
 * No other file knows this form.
 *
 * bat_load() by any thread; all others by one at a time. */
#ifndef IMAGE_BAT_H
#define IMAGE_BAT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "image/slots.h"

/* Entries of a page. */
#define BAT_PAGE 1024

struct bat {
  uint32_t *entry;         /* n of them; owned; NULL: there is no table */
  uint8_t *page;           /* bitmap of n / BAT_PAGE: may hold slots; owned */
  uint32_t n;
  size_t populated;        /* bytes: up to here memory need not be got */
};

/* A table of n entries without a block.  0 or -ENOMEM. */
int bat_alloc(struct bat *b, uint32_t n);
/* Leaves no table.  One that was never made is none. */
void bat_free(struct bat *b);
/* A copy with room for n entries, not less than there are.  0 or -ENOMEM. */
int bat_copy(struct bat *b, const struct bat *from, uint32_t n);

/* Takes over n entries as they lie on the disk, as those from blk on, which
 * were without a block; blk is a multiple of BAT_PAGE, and goes up from call to
 * call. */
void bat_take(struct bat *b, uint32_t blk, const struct be32 *raw, uint32_t n);

/* A block's slot, or NO_SLOT; nobody sets it meanwhile. */
static inline uint32_t
bat_slot(const struct bat *b, uint32_t blk)
{
  return ~b->entry[blk];
}

/* The same, while another thread may set it, before what is read after it. */
static inline uint32_t
bat_load(const struct bat *b, uint32_t blk)
{
  return ~atomic_load_explicit((_Atomic uint32_t *)&b->entry[blk],
                               memory_order_acquire);
}

/* A release. */
void bat_set(struct bat *b, uint32_t blk, uint32_t slot);

/* The first of the entries [blk, end) that has a slot, or end. */
uint32_t bat_next(const struct bat *b, uint32_t blk, uint32_t end);

/* One past the last of the entries [0, end) that has a slot, or 0. */
uint32_t bat_end(const struct bat *b, uint32_t end);

/* Goes through the stretches of entries, none past `end`, outside of which
 * there is no slot; *to begins as 0.  False: that was the last. */
bool bat_stretch(const struct bat *b, uint32_t *from, uint32_t *to,
                 uint32_t end);

#endif
