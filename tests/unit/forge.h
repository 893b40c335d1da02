/* SPDX-License-Identifier: BSD-2-Clause */
/* forge.h: small VHD images made byte by byte, apart from the library's own
 * writing of them, to be broken in all the ways that hostile files are.
 *
 * A forged image lies in memory, with the content that its disk must show
 * beside it. */
#ifndef FORGE_H
#define FORGE_H

#include <stddef.h>
#include <stdint.h>

#define FORGE_SECTOR 512U
#define FORGE_SPB 128U
#define FORGE_BLOCK (FORGE_SPB * FORGE_SECTOR)
/* The last block has only 16 sectors. */
#define FORGE_NBLK 9U
#define FORGE_DISK (8 * FORGE_BLOCK + 16 * FORGE_SECTOR)
#define FORGE_ENTRIES 16U

/* Where things lie in dynamic and differencing ones. */
#define FORGE_HEADER 512U
#define FORGE_BAT 1536U
#define FORGE_LOCATOR_W2KU 2048U
#define FORGE_LOCATOR_W2RU 2560U
#define FORGE_BATMAP 2048U /* header; the map follows */
#define FORGE_SLOT 3584U   /* of the first block: its bitmap */
#define FORGE_STRIDE (FORGE_SECTOR + FORGE_BLOCK)

struct forge {
  uint8_t *file;
  size_t len;
  uint8_t *disk; /* what it reads as, disk_len bytes */
  size_t disk_len;
  uint8_t tag;   /* marks its content; and is its unique id */
  int type;
};

/* Blocks 0, 2, 5 and 8 are there; of block 5 only some sectors are, with
 * garbage in the others. */
void forge_dynamic(struct forge *f, uint8_t tag);
void forge_fixed(struct forge *f, uint8_t tag);
/* Blocks 0, 3 and 8 are there, 0 and 8 in part.  parent is a file's name. */
void forge_child(struct forge *f, uint8_t tag, const struct forge *of,
                 const char *parent);
/* A dynamic one as Xen writes it, with a batmap. */
void forge_xen(struct forge *f, uint8_t tag);
void forge_free(struct forge *f);

/* The end's footer, and the bitmap of a block that is there. */
uint8_t *forge_end(struct forge *f);
uint8_t *forge_bitmap(struct forge *f, uint32_t blk);

/* Changes the type's size and its table to match; dynamic ones only. */
void forge_resize(struct forge *f, uint64_t size);

/* Puts right checksums everywhere. */
void forge_seal(struct forge *f);
/* Makes room for n more bytes, zeros, at off. */
void forge_insert(struct forge *f, size_t off, size_t n);
void forge_truncate(struct forge *f, size_t len);
void forge_write(const struct forge *f, const char *path);

/* Puts the parent's path into slot i, at its place in the file. */
void forge_locator(struct forge *f, unsigned i, uint32_t code, uint32_t space,
                   uint32_t len, uint64_t off);
/* ASCII as UTF-16LE at off; returns its bytes. */
uint32_t forge_utf16(struct forge *f, size_t off, const char *text);
/* The name in the header, UTF-16BE. */
void forge_name(struct forge *f, const char *text);

#endif
