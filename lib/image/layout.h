/* SPDX-License-Identifier: BSD-2-Clause */
/* layout.h: what an image file says of itself, read whole and validated once.
 *
 * vhd_open() and vhd_check() stand on the same reader: opening stops at the
 * first thing that is broken, checking hears of them all.  Above this, only
 * valid structs are seen.  Blocks (I/O), any thread; owns its arrays. */
#ifndef IMAGE_LAYOUT_H
#define IMAGE_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "format/batmap.h"
#include "format/footer.h"
#include "format/header.h"
#include "image/bat.h"
#include "image/slots.h"
#include "store/file.h"
#include "vhdkit.h"

/* A stretch of the file that holds metadata. */
struct region {
  uint64_t off, len; /* bytes */
  const char *what;  /* constant */
};

#define LAYOUT_REGIONS (6 + LOCATOR_COUNT)

/* What is no metadata, but may be anything. */
#define LAYOUT_UNKNOWN "unknown space"

struct layout_vhdx;

struct layout {
  const char *path;   /* the file's */
  struct layout_vhdx *vhdx; /* of a VHDX, which has no footer, no header and
                             * none of the regions below; else NULL; owned */
  uint64_t file_size;
  uint64_t disk_size; /* the size that counts */
  uint64_t own_size;  /* up to here its blocks hold somebody's data: never
                       * less, for the size only bounds requests */
  struct footer footer; /* type 0: a raw file, which has none */
  bool end_footer;     /* a valid footer lies at footer_off, the file's end */
  uint64_t footer_off; /* with no footer at the end: the file's size */

  /* From here on dynamic and differencing, and VHDX. */
  struct header header;
  uint32_t nblk;
  uint32_t spb;        /* sectors in a block: bits in its bitmap */
  uint32_t bitmap_sec; /* sectors of its bitmap */
  struct bat bat;      /* nblk entries, each valid or NO_SLOT; and nspare more,
                        * slots of blocks past the end of the disk */
  uint32_t nspare;
  bool beyond;         /* there may be blocks past the end of the disk */
  uint32_t nallocated; /* of the nblk */
  struct slots slots;  /* of all that .bat holds */
  bool aligned;        /* data of all blocks on 4 KiB */
  struct region region[LAYOUT_REGIONS];
  unsigned nregion;
  /* Locators whose fields made sense have .code != LOCATOR_NONE. */
  struct locator locator[LOCATOR_COUNT];
  bool has_batmap;
  struct batmap batmap;
  uint8_t *batmap_bits; /* batmap.nsec * 512 bytes */
};

/* Hears what is found.  message is valid during the call. */
struct layout_sink {
  void (*found)(struct layout_sink *sink, enum vhd_severity severity,
                int code, const char *message);
  bool keep_going; /* past what is broken */
};

/* Tells it, and nobody else; sink may be NULL. */
void layout_tell(struct layout_sink *sink, enum vhd_severity severity,
                 int code, const char *fmt, ...)
  __attribute__((format(printf, 4, 5)));

/* Reads the whole of it.  flags: VHD_OPEN_SIZE_CHS counts.  On failure *layout
 * is empty.  sink may be NULL. */
int layout_read(struct vhd_file *file, uint32_t flags,
                struct layout_sink *sink, struct layout *layout,
                struct vhd_error *err);
/* Only what it is and whose child: the footers, the header, the locators; a few
 * reads, however large the image.  Nothing is known of its blocks, nor whether
 * one lies over a locator.  There is nothing to free.  On failure .footer may
 * be known all the same; .footer.type is 0 where it is not. */
int layout_read_head(struct vhd_file *file, struct layout_sink *sink,
                     struct layout *layout, struct vhd_error *err);
/* The layout of a file that is the disk itself. */
int layout_read_raw(struct vhd_file *file, struct layout *layout,
                    struct vhd_error *err);
/* Validates .bat anew after it was changed, and makes .slots anew. */
int layout_recheck(struct vhd_file *file, struct layout *layout,
                   struct vhd_error *err);
void layout_free(struct layout *layout);

/* Sectors of the file that block blk needs: less for the last block of a disk
 * that does not end on a block. */
uint32_t layout_block_sectors(const struct layout *layout, uint32_t blk);

/* A slot of .slots whose block lies over part of this stretch of the file, or
 * NO_SLOT. */
uint32_t layout_slot_over(const struct layout *layout, uint64_t off,
                          uint64_t len);

/* The metadata that lies over part of this stretch, or NULL. */
const struct region *layout_region_over(const struct layout *layout,
                                        uint64_t off, uint64_t len);
/* The i-th parent locator's, or NULL: it is none, or has no text. */
const struct region *layout_locator_region(const struct layout *layout,
                                           unsigned i);

/* The first sector at or behind this one from which on so many have nothing in
 * them, be it behind the end of the file. */
uint64_t layout_find_free(const struct layout *layout, uint64_t sec,
                          uint64_t nsec);

/* Goes through what lies in the file, metadata and blocks, in the order in
 * which it begins: bytes *off to *end.  Blocks as slots_stretch() gives them.
 * False: that was all. */
struct layout_walk {
  const struct layout *layout;
  struct region region[LAYOUT_REGIONS]; /* in order */
  unsigned nth;
  uint32_t at;
  bool more;         /* a stretch of blocks is left: */
  uint64_t from, to; /* sectors */
};

void layout_walk_begin(struct layout_walk *walk, const struct layout *layout);
bool layout_walk_next(struct layout_walk *walk, uint64_t *off, uint64_t *end);

#endif
