/* SPDX-License-Identifier: BSD-2-Clause */
/* header.c: the dynamic header's 1024 bytes <-> struct header.  Owns nothing;
 * any thread. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/error.h"
#include "format/footer.h"
#include "format/header.h"

#define HEADER_VERSION 0x00010000

static const char cookie[8] = "cxsparse";

struct header_disk {
  char cookie[8];
  struct be64 next;
  struct be64 table_offset;
  struct be32 version;
  struct be32 max_table_entries;
  struct be32 block_size;
  struct be32 checksum;
  uint8_t parent_id[16];
  struct be32 parent_timestamp;
  uint8_t reserved1[4];
  uint8_t parent_name[HEADER_NAME_SIZE];
  uint8_t locator[LOCATOR_COUNT][LOCATOR_SIZE];
  uint8_t reserved2[256];
};

_Static_assert(sizeof(struct header_disk) == HEADER_SIZE, "size of a header");
_Static_assert(offsetof(struct header_disk, table_offset) == 16, "layout");
_Static_assert(offsetof(struct header_disk, version) == 24, "layout");
_Static_assert(offsetof(struct header_disk, max_table_entries) == 28,
               "layout");
_Static_assert(offsetof(struct header_disk, block_size) == 32, "layout");
_Static_assert(offsetof(struct header_disk, checksum) == 36, "layout");
_Static_assert(offsetof(struct header_disk, parent_id) == 40, "layout");
_Static_assert(offsetof(struct header_disk, parent_timestamp) == 56, "layout");
_Static_assert(offsetof(struct header_disk, parent_name) == 64, "layout");
_Static_assert(offsetof(struct header_disk, locator) == 576, "layout");
_Static_assert(offsetof(struct header_disk, reserved2) == 768, "layout");

static int
check_envelope(const struct header_disk *disk, const uint8_t *buf,
               const char *path, struct vhd_error *err)
{
  if (memcmp(disk->cookie, cookie, sizeof cookie) != 0)
    return vhd_fail(err, VHD_HEADER_CORRUPT, EINVAL,
                    "%s: no dynamic header where the footer says (it would "
                    "begin with \"cxsparse\")",
                    path);

  uint32_t stored = be32_get(disk->checksum);
  uint32_t computed =
    vhd_checksum(buf, HEADER_SIZE, offsetof(struct header_disk, checksum));
  if (stored != computed)
    return vhd_fail(err, VHD_HEADER_CHECKSUM, EINVAL,
                    "%s: dynamic header: its checksum is 0x%08" PRIx32
                    ", but its bytes sum to 0x%08" PRIx32,
                    path, stored, computed);

  uint32_t version = be32_get(disk->version);
  if (version != HEADER_VERSION)
    return vhd_fail(err, VHD_HEADER_VERSION, EINVAL,
                    "%s: dynamic header: version %u.%u; only 1.0 is known",
                    path, version >> 16, version & 0xffff);
  return 0;
}

static int
check_blocks(const struct header *header, const char *path, uint64_t disk_size,
             struct vhd_error *err)
{
  uint32_t size = header->block_size;
  if (!is_power_of_two(size) || size < HEADER_MIN_BLOCK_SIZE ||
      size > HEADER_MAX_BLOCK_SIZE)
    return vhd_fail(err, VHD_BLOCK_SIZE, EINVAL,
                    "%s: dynamic header: block size %" PRIu32
                    "; it must be a power of two from %u to %u",
                    path, size, HEADER_MIN_BLOCK_SIZE, HEADER_MAX_BLOCK_SIZE);

  uint64_t nblk = disk_size / size + (disk_size % size != 0);
  if (nblk > HEADER_MAX_BLOCKS)
    return vhd_fail(err, VHD_LIMIT, EINVAL,
                    "%s: a disk of %" PRIu64 " bytes in blocks of %" PRIu32
                    " has %" PRIu64 " of them; the limit is %u",
                    path, disk_size, size, nblk, HEADER_MAX_BLOCKS);
  if (nblk > header->max_table_entries)
    return vhd_fail(err, VHD_HEADER_CORRUPT, EINVAL,
                    "%s: dynamic header: a block table of %" PRIu32
                    " entries, but the disk has %" PRIu64 " blocks",
                    path, header->max_table_entries, nblk);
  return 0;
}

static int
check_table(const struct header *header, const char *path,
            struct vhd_error *err)
{
  uint64_t off = header->table_offset;
  /* The upper bound leaves room for any table without overflow. */
  if (off < FOOTER_SIZE || off % VHD_SECTOR_SIZE != 0 || off > INT64_MAX / 4)
    return vhd_fail(err, VHD_HEADER_CORRUPT, EINVAL,
                    "%s: dynamic header: the block table cannot lie at offset "
                    "%" PRIu64,
                    path, off);
  return 0;
}

int
header_parse(const uint8_t *buf, const char *path, uint64_t disk_size,
             struct header *header, struct vhd_error *err)
{
  struct header_disk disk;
  memcpy(&disk, buf, sizeof disk);

  int r = check_envelope(&disk, buf, path, err);
  if (r < 0)
    return r;

  *header = (struct header) {
    .table_offset = be64_get(disk.table_offset),
    .max_table_entries = be32_get(disk.max_table_entries),
    .block_size = be32_get(disk.block_size),
    .parent_timestamp = be32_get(disk.parent_timestamp),
  };
  memcpy(header->parent_id, disk.parent_id, sizeof header->parent_id);
  memcpy(header->parent_name, disk.parent_name, sizeof header->parent_name);
  /* A bad locator is no reason to refuse the header: only who follows it asks
   * locator_check(). */
  for (unsigned i = 0; i < LOCATOR_COUNT; i++)
    locator_parse(disk.locator[i], &header->locator[i]);

  r = check_table(header, path, err);
  if (r == 0)
    r = check_blocks(header, path, disk_size, err);
  return r;
}

static void
seal(uint8_t *buf)
{
  struct header_disk disk;

  memcpy(&disk, buf, sizeof disk);
  disk.checksum = be32_put(
    vhd_checksum(buf, HEADER_SIZE, offsetof(struct header_disk, checksum)));
  memcpy(buf, &disk, sizeof disk);
}

void
header_mend(uint8_t *buf)
{
  memcpy(buf, cookie, sizeof cookie);
  seal(buf);
}

void
header_format(const struct header *header, uint8_t *buf)
{
  struct header_disk disk = {
    .next = be64_put(UINT64_MAX),
    .table_offset = be64_put(header->table_offset),
    .version = be32_put(HEADER_VERSION),
    .max_table_entries = be32_put(header->max_table_entries),
    .block_size = be32_put(header->block_size),
    .parent_timestamp = be32_put(header->parent_timestamp),
  };
  memcpy(disk.cookie, cookie, sizeof disk.cookie);
  memcpy(disk.parent_id, header->parent_id, sizeof disk.parent_id);
  memcpy(disk.parent_name, header->parent_name, sizeof disk.parent_name);
  for (unsigned i = 0; i < LOCATOR_COUNT; i++)
    locator_format(&header->locator[i], disk.locator[i]);

  memcpy(buf, &disk, sizeof disk);
  seal(buf);
}
