/* SPDX-License-Identifier: BSD-2-Clause */
/* state.h: what is known of a block of an opened file, in a byte. */
#ifndef IMAGE_STATE_H
#define IMAGE_STATE_H

#include <stdint.h>

/* What a block's bitmap says, in the low bits of its state. */
enum summary {
  BITS_UNKNOWN, /* not read yet */
  BITS_NONE,
  BITS_ALL,
  BITS_MIXED,   /* the bitmap is, or must be got, in the cache */
  BITS_MASK = 3,
};

/* And what goes on with it. */
enum block_flags {
  BLOCK_BUSY = 1 << 2,    /* a request is changing its mapping */
  BLOCK_LOADING = 1 << 3, /* a request is reading its bitmap */
  BLOCK_DIRTY = 1 << 4,   /* has an entry in the dirty set */
  BLOCK_ZERO = 1 << 5,    /* of VHDX: with BITS_NONE and a slot that is none, it
                           * is zeros, whatever the parent has; never changes */
};

static inline enum summary
summary_of(uint8_t state)
{
  return (enum summary)(state & BITS_MASK);
}

#endif
