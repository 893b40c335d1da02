/* SPDX-License-Identifier: BSD-2-Clause */
/* walk.h: the content of a disk from its beginning to its end, in pieces that
 * either lie in a file or are known to be zeros without being read.
 *
 * The map says what the chain holds; where that is a fixed image or a raw file,
 * which have no map of their own, the holes of the file count too.  The image
 * is the caller's and must not change meanwhile.  One thread. */
#ifndef OPS_WALK_H
#define OPS_WALK_H

#include <stdint.h>

#include "vhdkit.h"

#define WALK_RUNS 64

struct piece {
  uint64_t len;
  struct vhd_file *file; /* NULL: zeros */
  uint64_t file_off;
};

struct walk {
  struct vhd_image *image;
  uint64_t size; /* what lies behind the end of the disk is zeros */
  uint64_t at;   /* of the next piece */
  struct vhd_run run[WALK_RUNS];
  unsigned n, i;
};

/* size: where it ends, not below the disk's. */
void walk_begin(struct walk *w, struct vhd_image *image, uint64_t size);

/* The next piece, of max bytes at most if it has data, and no longer than is
 * left.  1, 0 at the end, or -errno with err set.  Does not read data. */
int walk_next(struct walk *w, uint64_t max, struct piece *piece,
              struct vhd_error *err);

/* Reads a piece that has data into buf. */
int walk_read(const struct walk *w, const struct piece *piece, void *buf,
              struct vhd_error *err);

/* How long a stretch of buf from its beginning on is zeros, or has data, in
 * whole grains of DATA_GRAIN bytes (the last may be shorter); sets *zeros. */
#define DATA_GRAIN 16384
size_t data_stretch(const uint8_t *buf, size_t len, bool *zeros);

#endif
