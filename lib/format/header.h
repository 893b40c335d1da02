/* SPDX-License-Identifier: BSD-2-Clause */
/* header.h: the 1024-byte header of dynamic and differencing images: bytes <->
 * struct.  No I/O. */
#ifndef FORMAT_HEADER_H
#define FORMAT_HEADER_H

#include <stdint.h>

#include "format/locator.h"
#include "vhdkit.h"

#define HEADER_SIZE 1024
#define HEADER_NAME_SIZE 512 /* bytes of UTF-16BE */

/* What we accept.  The table of a disk must not have more entries than
 * MAX_BLOCKS: 2040 GiB in blocks of 512 KiB, so that memory stays bounded. */
#define HEADER_MIN_BLOCK_SIZE (4U << 10)
#define HEADER_MAX_BLOCK_SIZE (256U << 20)
#define HEADER_MAX_BLOCKS (2040U << 11)

struct header {
  uint64_t table_offset;
  uint32_t max_table_entries;
  uint32_t block_size;
  uint8_t parent_id[16];
  uint32_t parent_timestamp;             /* VHD epoch; 0 not recorded */
  uint8_t parent_name[HEADER_NAME_SIZE]; /* raw UTF-16BE */
  struct locator locator[LOCATOR_COUNT];
};

/* Parses and validates HEADER_SIZE bytes: cookie, version, checksum, block size
 * (a power of two within the limits), table offset (sector aligned), enough
 * table entries for disk_size and no more than HEADER_MAX_BLOCKS needed. */
int header_parse(const uint8_t *buf, const char *path, uint64_t disk_size,
                 struct header *header, struct vhd_error *err);

/* Makes bytes that may be a damaged header pass for one as far as its cookie
 * and its checksum go; header_parse() then says if the rest makes sense. */
void header_mend(uint8_t *buf);

void header_format(const struct header *header, uint8_t *buf);

/* Sectors that the bitmap of one block takes. */
static inline uint32_t
header_bitmap_sectors(uint32_t block_size)
{
  uint32_t bytes = (block_size / 512 + 7) / 8;
  return (bytes + 511) / 512;
}

#endif
