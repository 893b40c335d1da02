/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_vhdx_reader.h: what the parts of the reader of VHDX files share; for
 * layout_vhdx*.c alone. */
#ifndef IMAGE_LAYOUT_VHDX_READER_H
#define IMAGE_LAYOUT_VHDX_READER_H

#include "image/layout_reader.h"
#include "image/layout_vhdx.h"

/* Something that is no block lies there, in units of the file. */
struct vhdx_extent {
  uint64_t at, len;
  const char *what; /* constant */
};

struct vhdx_reader {
  struct reader r;  /* first; r.file is patched once the log is replayed */
  struct layout_vhdx *x;
  struct vhdx_header header;
  struct vhdx_region bat, metadata;
  struct vhdx_extent *extent; /* owned */
  size_t nextent, room;
};

/* 0 or -errno with the error set. */
int vhdx_add_extent(struct vhdx_reader *v, uint64_t off, uint64_t len,
                    const char *what);

/* Lays the changes that the log has over the file. */
int layout_vhdx_replay(struct vhdx_reader *v);
/* What kind of disk it is, and its parent. */
int layout_vhdx_read_metadata(struct vhdx_reader *v);
/* The block table, and whether anything lies over anything else. */
int layout_vhdx_read_bat(struct vhdx_reader *v);

#endif
