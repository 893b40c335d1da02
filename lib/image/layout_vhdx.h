/* SPDX-License-Identifier: BSD-2-Clause */
/* layout_vhdx.h: what a VHDX file says of itself, where that is not what a VHD
 * would say; the rest is in struct layout.  Such a file is only read.
 *
 * Slots are places in units of 1 MiB.  A log that was not brought into the file
 * yet is replayed in memory: then all of the file is to be read through .over.
 * Blocks (I/O), any thread; owns what it points to. */
#ifndef IMAGE_LAYOUT_VHDX_H
#define IMAGE_LAYOUT_VHDX_H

#include "format/vhdx.h"
#include "image/layout.h"
#include "image/state.h"
#include "store/patched.h"

/* Where a child says that its parent lies. */
enum vhdx_path {
  VHDX_PATH_RELATIVE,
  VHDX_PATH_ABSOLUTE,
  VHDX_PATH_VOLUME,
  VHDX_PATHS,
};

#define VHDX_LINKS 2

struct layout_vhdx {
  enum vhd_type type;
  bool patched;             /* by the log: */
  struct patched over;
  uint8_t data_id[16];      /* what a child names its parent by */
  uint8_t disk_id[16];      /* of all files of a disk's chain */
  uint32_t sector_size, physical_sector_size;
  uint32_t block_size;
  uint32_t chunk_blocks;    /* of a chunk, whose bitmaps lie together, 1 MiB */
  uint32_t nchunk;
  uint32_t *chunk;          /* a child: the place of each, or NO_SLOT */
  uint8_t *state;           /* of each of nblk blocks */

  /* A child's parent. */
  unsigned nlink;
  uint8_t link[VHDX_LINKS][16]; /* its data_id is one of these */
  char *path[VHDX_PATHS];   /* as POSIX has it; NULL */
  char *parent_name;        /* as it is stored; "" */
};

/* Does the name end as that of a VHD? */
bool layout_named_vhd(const char *path);
/* Or of a VHDX? */
bool layout_named_vhdx(const char *path);
/* The format of a file that is none of a raw disk.  One that begins as a VHDX
 * and has the footer of a VHD is what its name says, which no guest can
 * choose; or an error. */
int layout_format(struct vhd_file *file, enum vhd_format *format,
                  struct vhd_error *err);

/* See layout_read(). */
int layout_vhdx_read(struct vhd_file *file, struct layout_sink *sink,
                     struct layout *layout, struct vhd_error *err);
void layout_vhdx_free(struct layout_vhdx *x);

/* 0: not known, or raw. */
static inline enum vhd_type
layout_type(const struct layout *layout)
{
  return layout->vhdx ? layout->vhdx->type
                      : (enum vhd_type)layout->footer.type;
}

/* The file as it is to be read. */
static inline struct vhd_file *
layout_bytes(struct layout *layout, struct vhd_file *file)
{
  return layout->vhdx && layout->vhdx->patched ? &layout->vhdx->over.file
                                               : file;
}

#endif
