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

/* Opens a disk to be read. */
int walk_open(const char *path, const struct vhd_open_options *opt,
              struct vhd_image **image, struct vhd_error *err);

/* Calls each with the runs of a range of the disk, one after the other, and
 * where they begin, until it returns not 0.  That, 0, or -errno with err set
 * where the map cannot be read. */
int walk_runs(struct vhd_image *image, uint64_t off, uint64_t len,
              int (*each)(void *opaque, const struct vhd_run *run,
                          uint64_t off),
              void *opaque, struct vhd_error *err);

/* How long a stretch of buf from its beginning on is zeros, or has data, in
 * whole grains of so many bytes (the last may be shorter); sets *zeros. */
size_t data_stretch(const uint8_t *buf, size_t len, size_t grain, bool *zeros);

#endif
