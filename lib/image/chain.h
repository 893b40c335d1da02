/* SPDX-License-Identifier: BSD-2-Clause */
/* chain.h: finding and reading the files that an image is made of, from the one
 * that was asked for down to the last parent.
 *
 * A loop of small steps, however deep the chain is: each opens, reads or
 * refuses one file, and blocks for no more than that.  So an engine can drive
 * it from a thread of its own, a step at a time; nothing large lies on the
 * stack.  One thread at a time. */
#ifndef IMAGE_CHAIN_H
#define IMAGE_CHAIN_H

#include "image/layer.h"
#include "image/parent.h"

struct chain {
  const struct vhd_open_options *opt;
  uint32_t parent_flags;    /* enum vhd_open_flags, LAYER_HEAD */
  struct file_roots roots;
  struct layer *layer[VHD_MAX_DEPTH + 1]; /* references, from the top down */
  unsigned n;
  bool searching;           /* for the parent of the last of them */
  struct parent_search search;
  struct vhd_error why;     /* of the last candidate */
};

/* opt must last as long as the chain. */
int chain_begin(struct chain *c, const char *path,
                const struct vhd_open_options *opt, struct vhd_error *err);
/* The same for the parents of a file that was read before, whose reference it
 * takes over, also on failure. */
int chain_begin_below(struct chain *c, struct layer *child,
                      const struct vhd_open_options *opt,
                      struct vhd_error *err);
/* One step: 1 there is more to do, 0 the chain is whole, or -errno. */
int chain_step(struct chain *c, struct vhd_error *err);
/* Lets go of what is left in it. */
void chain_end(struct chain *c);

/* What went wrong with an ancestor is told with the name of the image that was
 * to be opened.  Returns e. */
int chain_blame(const struct chain *c, int e, struct vhd_error *err);

#endif
