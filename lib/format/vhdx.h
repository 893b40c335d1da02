/* SPDX-License-Identifier: BSD-2-Clause */
/* vhdx.h: what a VHDX file ([MS-VHDX]) begins with: its signature, two headers,
 * two copies of the region table; its metadata; and the entries of its block
 * allocation table.  vhdx_log.h has the log.  Pure.
 *
 * Whether a place lies within the file is not known here.  *why is the
 * predicate of a sentence ("has a wrong checksum"), constant. */
#ifndef FORMAT_VHDX_H
#define FORMAT_VHDX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All that is not in a table lies on this unit of the file. */
#define VHDX_UNIT (1U << 20)
#define VHDX_UNIT_SHIFT 20

#define VHDX_SIGNATURE_SIZE 8
#define VHDX_HEADER_SIZE 4096
#define VHDX_TABLE_SIZE 65536
/* Where the i-th of the two lies. */
#define VHDX_HEADER_OFF(i) (65536U * (1 + (i)))
#define VHDX_TABLE_OFF(i) (65536U * (3 + (i)))

/* Everybody's limits. */
#define VHDX_MAX_SIZE (64ULL << 40)
#define VHDX_MAX_BLOCK (256U << 20)
#define VHDX_MAX_ENTRIES 2047 /* of a region or metadata table */
#define VHDX_MAX_ITEM (1U << 20)

bool vhdx_has_signature(const uint8_t *buf);

struct vhdx_header {
  uint64_t sequence;
  uint8_t data_id[16]; /* changes with the disk's content: a child names its
                        * parent by it */
  uint8_t log_id[16];  /* of the log entries that count; null: there are none */
  uint16_t log_version;
  uint32_t log_len;
  uint64_t log_off;
};

/* VHDX_HEADER_SIZE bytes.  0, or -EINVAL, or -ENOTSUP for another version. */
int vhdx_header_parse(const uint8_t *buf, struct vhdx_header *header,
                      const char **why);
/* May its log lie where it says?  Of the header that counts: an older one in
 * its stead would show what the disk held once. */
bool vhdx_header_has_place(const struct vhdx_header *header);

/* Of a table with this id. */
enum vhdx_kind {
  VHDX_UNKNOWN,
  /* regions */
  VHDX_BAT,
  VHDX_METADATA,
  /* items of metadata */
  VHDX_PARAMETERS,
  VHDX_SIZE,
  VHDX_DISK_ID,
  VHDX_LOGICAL_SECTOR,
  VHDX_PHYSICAL_SECTOR,
  VHDX_LOCATOR,
  VHDX_KINDS,
};

struct vhdx_region {
  enum vhdx_kind kind;
  uint64_t off;
  uint32_t len;
  bool required;
};

/* VHDX_TABLE_SIZE bytes.  How many entries it has, or -EINVAL. */
int vhdx_regions_check(const uint8_t *buf, const char **why);
/* 0, or -EINVAL for one that is not on VHDX_UNIT. */
int vhdx_region_parse(const uint8_t *buf, unsigned i,
                      struct vhdx_region *region);

struct vhdx_item {
  enum vhdx_kind kind;
  uint32_t off, len; /* within the region of metadata */
  bool user;
  bool required;
};

/* VHDX_TABLE_SIZE bytes, which have no checksum.  How many entries it has, or
 * -EINVAL. */
int vhdx_items_check(const uint8_t *buf, const char **why);
/* 0, or -EINVAL for one that cannot lie there. */
int vhdx_item_parse(const uint8_t *buf, unsigned i, struct vhdx_item *item);

struct vhdx_parameters {
  uint32_t block_size;  /* a power of two, as allowed */
  bool leave_allocated; /* a fixed disk */
  bool has_parent;
};

int vhdx_parameters_parse(const uint8_t *buf, size_t len,
                          struct vhdx_parameters *p, const char **why);
/* Values that are one integer: the disk's size, of a sector. */
int vhdx_number_parse(enum vhdx_kind kind, const uint8_t *buf, size_t len,
                      uint64_t *value, const char **why);

/* A parent locator is a list of keys and values, UTF-16 (little-endian). */
int vhdx_locator_check(const uint8_t *buf, size_t len, const char **why);
/* The value of a key, within buf; -ENOENT: it has none.  Of one that was
 * checked. */
int vhdx_locator_find(const uint8_t *buf, const char *key,
                      const uint8_t **value, size_t *len);

/* ------------------------------------------------------------- block table */

enum vhdx_state {
  VHDX_NOT_PRESENT = 0,
  VHDX_UNDEFINED = 1,
  VHDX_ZERO = 2,
  VHDX_UNMAPPED = 3,
  VHDX_FULL = 6,    /* also of a block of bitmaps that is there */
  VHDX_PARTIAL = 7, /* where the bitmap says so */
};

#define VHDX_ENTRY_SIZE 8

static inline unsigned
vhdx_entry_state(uint64_t entry)
{
  return entry & 7;
}

/* In VHDX_UNITs. */
static inline uint64_t
vhdx_entry_place(uint64_t entry)
{
  return entry >> VHDX_UNIT_SHIFT;
}

/* So many blocks share one block of bitmaps, whose entry follows theirs. */
static inline uint32_t
vhdx_chunk_blocks(uint32_t sector_size, uint32_t block_size)
{
  return (uint32_t)(((uint64_t)sector_size << 23) / block_size);
}

#endif
