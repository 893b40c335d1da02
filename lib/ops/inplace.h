/* SPDX-License-Identifier: BSD-2-Clause */
/* inplace.h: what the operations share that change an image where it lies.
 * One thread an operation. */
#ifndef OPS_INPLACE_H
#define OPS_INPLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"
#include "vhdkit.h"

struct inplace {
  struct vhd_image *image;
  struct file_stamp stamp; /* of the file, before */
  bool dated;              /* it is known */
  uint64_t file_size;      /* once it is closed */
};

/* Opens the image for writing. */
int inplace_begin(const char *path, const struct vhd_open_options *opt,
                  struct inplace *in, struct vhd_error *err);

/* The same for what must not be done to one whose virtual
 * machine is asleep.  done: what is to be done to it, "compacted".  0 or
 * -errno. */
int inplace_open(const char *path, const struct vhd_open_options *opt,
                 const char *done, struct inplace *in, struct vhd_error *err);

/* For an image that was opened otherwise: as inplace_begin() has it. */
void inplace_take_stamp(struct inplace *in);

/* What is going to be done leaves what the disk holds as it is, and so the time
 * of the file, also where it is killed and gone on with. */
void inplace_keep_time(const struct inplace *in);

/* Closes it: everything is durable.  r: how the operation went; that is
 * returned if it is an error.  same: what the disk holds is what it was before,
 * so that its children, who record when it was last changed, are to see no
 * change. */
int inplace_close(struct inplace *in, int r, bool same,
                  struct vhd_error *err);

/* Do these bytes of the file read as zeros?  1 or 0, or -errno.  Holes are not
 * read; buf has INPLACE_CHUNK bytes. */
#define INPLACE_CHUNK (256U << 10)
int inplace_file_is_zero(struct vhd_file *file, uint64_t off, uint64_t len,
                         uint8_t *buf);
/* The same of a disk; what lies past its end does. */
int inplace_disk_is_zero(struct vhd_image *image, uint64_t off, uint64_t len,
                         uint8_t *buf);

/* Would the disk read the same here without what this very image says of the
 * range: its sectors are zeros, and so are its ancestors' there?  1 or 0, or
 * -errno. */
int inplace_is_void(struct vhd_image *image, uint64_t off, uint64_t len,
                    uint8_t *buf);
/* The same, whatever its own sectors hold: are its ancestors zeros wherever it
 * says something itself? */
int inplace_hides_nothing(struct vhd_image *image, uint64_t off, uint64_t len,
                          uint8_t *buf);

#endif
