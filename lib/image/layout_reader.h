/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_reader.h: what the parts of the reader of image files share; for
 * layout*.c alone, which layout.h speaks for.  Blocks (I/O), one thread. */
#ifndef IMAGE_LAYOUT_READER_H
#define IMAGE_LAYOUT_READER_H

#include "image/layout.h"

struct reader {
  struct vhd_file *file;
  struct layout *l;
  struct layout_sink *sink;
  struct vhd_error *err;
};

/* Tells of something found.  Returns -EINVAL, with the error set, where it is
 * broken and nobody wants to hear more. */
int reader_report(struct reader *r, enum vhd_severity severity, int code,
                  const char *fmt, ...)
  __attribute__((format(printf, 4, 5)));

/* Notes that metadata lie there.  1: they cannot, which somebody has been
 * told. */
int reader_add_region(struct reader *r, const char *what, int code,
                      uint64_t off, uint64_t len);

/* Each sets its part of the layout; 0 or -errno. */
int layout_read_footer(struct reader *r);
int layout_choose_size(struct reader *r, uint32_t flags);
int layout_read_bat(struct reader *r);
int layout_check_bat(struct reader *r);
int layout_read_locators(struct reader *r);
int layout_read_batmap(struct reader *r);
int layout_read_spare(struct reader *r);

/* -EINVAL, and says so, where the file is one of another known format. */
int layout_refuse_others(struct reader *r);
/* The same of a VHDX, also one that a guest has given the footer of a VHD. */
int layout_refuse_vhdx(struct reader *r);

/* Finds the slots of all that .bat holds, anew; 0 or -ENOMEM. */
int layout_find_slots(struct layout *l);

/* A block of the disk that lies over part of this stretch of the file, or
 * NO_SLOT. */
uint32_t layout_block_over(const struct layout *l, uint64_t off, uint64_t len);

#endif
