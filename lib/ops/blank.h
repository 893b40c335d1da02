/* SPDX-License-Identifier: BSD-2-Clause */
/* blank.h: the metadata of a new image, planned and then written around data
 * that others write.  Owns nothing; one thread. */
#ifndef OPS_BLANK_H
#define OPS_BLANK_H

#include <stdbool.h>
#include <stdint.h>

#include "format/footer.h"
#include "format/header.h"
#include "ops/parent_ref.h"
#include "vhdkit.h"

struct newfile;

/* What is going to be written where, all of it checked.  All zero but for the
 * parent to begin with. */
struct blank {
  struct footer footer;
  uint64_t end; /* where the footer goes */
  bool full;
  /* Dynamic and differencing. */
  struct header header;
  struct parent_ref parent;
  uint32_t nblk;
  uint32_t bitmap_len;
  uint64_t bat_len; /* on disk */
  uint64_t first;   /* offset of the first block's data */
  uint64_t stride;
};

/* May a VHD have that name? */
int blank_check_name(const char *path, struct vhd_error *err);

/* Can an image of that type have that size? */
int blank_check_size(const char *path, enum vhd_type type, uint64_t size,
                     struct vhd_error *err);

void blank_plan_footer(struct blank *plan, enum vhd_type type, uint64_t size);

/* Where everything lies in an image with blocks; after its footer.  block_size
 * 0 is the usual one. */
int blank_plan_blocks(struct blank *plan, const char *path,
                      uint32_t block_size, struct vhd_error *err);

/* In an image with blocks: so many of them are in the file, the first ones in
 * their order of place. */
void blank_plan_end(struct blank *plan, uint32_t nused);

/* Where the data of the nth block of the file lies; its bitmap ends there. */
static inline uint64_t
blank_block(const struct blank *plan, uint32_t nth)
{
  return plan->first + nth * plan->stride;
}

#define BLANK_NO_BLOCK UINT32_MAX

/* The footer, and what stands before the blocks.  nth: for each block of the
 * disk which it is of the file's, or BLANK_NO_BLOCK; NULL: the file has all in
 * order if it is .full, else none. */
int blank_write_metadata(const struct blank *plan, struct newfile *file,
                         const uint32_t *nth, struct vhd_error *err);

#endif
