/* SPDX-License-Identifier: BSD-2-Clause */
/* batmap.c: Xen's batmap header <-> struct batmap.  Owns nothing; any
 * thread. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "format/batmap.h"

#define VERSION_1_1 0x00010001
#define VERSION_1_2 0x00010002

/* A map for more blocks than any disk has; so that memory stays bounded. */
#define MAX_SECTORS ((HEADER_MAX_BLOCKS + 4095) / 4096)

static const char cookie[8] = "tdbatmap";

struct batmap_disk {
  char cookie[8];
  struct be64 off;
  struct be32 nsec;
  struct be32 version;
  struct be32 checksum;
  uint8_t rest[484]; /* marker, key hash, reserved: kept as they are */
};

_Static_assert(sizeof(struct batmap_disk) == BATMAP_HEADER_SIZE,
               "size of a batmap header");
_Static_assert(offsetof(struct batmap_disk, off) == 8, "layout");
_Static_assert(offsetof(struct batmap_disk, nsec) == 16, "layout");
_Static_assert(offsetof(struct batmap_disk, version) == 20, "layout");
_Static_assert(offsetof(struct batmap_disk, checksum) == 24, "layout");
_Static_assert(offsetof(struct batmap_disk, rest) == 28, "layout");

bool
batmap_expected(const struct footer *footer)
{
  return memcmp(footer->creator, "tap", 4) == 0 &&
         footer->creator_version >= 0x00010001;
}

uint64_t
batmap_header_off(const struct header *header)
{
  uint64_t len = (uint64_t)header->max_table_entries * 4;
  return round_up(header->table_offset + len, VHD_SECTOR_SIZE);
}

int
batmap_parse(const uint8_t *buf, uint32_t entries, struct batmap *batmap,
             const char **why)
{
  struct batmap_disk disk;
  memcpy(&disk, buf, sizeof disk);

  *why = "is not there";
  if (memcmp(disk.cookie, cookie, sizeof cookie) != 0)
    return -ENOENT;

  *batmap = (struct batmap) {
    .off = be64_get(disk.off),
    .nsec = be32_get(disk.nsec),
    .version = be32_get(disk.version),
    .checksum = be32_get(disk.checksum),
  };
  memcpy(batmap->raw, buf, sizeof batmap->raw);

  uint64_t bits = (uint64_t)batmap->nsec * VHD_SECTOR_SIZE * 8;
  if (batmap->version != VERSION_1_1 && batmap->version != VERSION_1_2)
    *why = "is of a version other than 1.1 and 1.2";
  else if (bits < entries)
    *why = "has fewer bits than the block table has entries";
  else if (batmap->nsec > MAX_SECTORS)
    *why = "is larger than any disk needs";
  else if (batmap->off % VHD_SECTOR_SIZE != 0 ||
           batmap->off < BATMAP_HEADER_SIZE || batmap->off > INT64_MAX / 2)
    *why = "says it lies at an impossible offset";
  else
    return 0;
  return -EINVAL;
}

/* Version 1.1 summed the bytes as signed. */
static uint32_t
sum(const struct batmap *batmap, const uint8_t *map, size_t len)
{
  uint32_t total = 0;
  for (size_t i = 0; i < len; i++)
    total += batmap->version == VERSION_1_1 ? (uint32_t)(int8_t)map[i]
                                            : map[i];
  return ~total;
}

bool
batmap_sum_ok(const struct batmap *batmap, const uint8_t *map, size_t len)
{
  return batmap->checksum == sum(batmap, map, len);
}

void
batmap_format(const struct batmap *batmap, const uint8_t *map, size_t len,
              uint8_t *buf)
{
  struct batmap_disk disk;
  memcpy(&disk, batmap->raw, sizeof disk);
  memcpy(disk.cookie, cookie, sizeof disk.cookie);
  disk.off = be64_put(batmap->off);
  disk.nsec = be32_put(batmap->nsec);
  disk.version = be32_put(batmap->version);
  disk.checksum = be32_put(sum(batmap, map, len));
  memcpy(buf, &disk, sizeof disk);
}
