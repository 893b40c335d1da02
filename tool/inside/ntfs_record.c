/* SPDX-License-Identifier: BSD-2-Clause */
/* ntfs_record.c: see ntfs.h. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "inside/ntfs.h"

/* --------------------------------------------------------- the boot sector */

/* Sizes are counts of clusters, or below zero powers of two of bytes. */
static uint64_t
size_of(uint8_t code, uint64_t cluster)
{
  if (code < 0x80)
    return code * cluster;
  return 256 - code < 32 ? 1ULL << (256 - code) : 0;
}

/* The sectors of a cluster; from 0xf4 on a power of two. */
static uint32_t
cluster_sectors(uint8_t code)
{
  if (code <= 0x80)
    return code;
  return code >= 0xf4 ? 1U << (256 - code) : 0;
}

bool
ntfs_parse_boot(const uint8_t boot[NTFS_BOOT], struct ntfs_boot *parsed)
{
  const uint32_t sector = le16(boot + 11), per = cluster_sectors(boot[13]);

  if (memcmp(boot + 3, "NTFS    ", 8) != 0 || !is_power_of_two(sector) ||
      sector < 256 || sector > 4096 || !is_power_of_two(per))
    return false;
  const uint64_t cluster = (uint64_t)sector * per;
  const uint64_t record = size_of(boot[64], cluster);
  if (cluster > NTFS_CLUSTER_MOST || !is_power_of_two(record) ||
      record < NTFS_SECTOR || record > NTFS_RECORD_MOST)
    return false;
  *parsed = (struct ntfs_boot){
    .sectors = le64(boot + 40),
    .cluster = cluster,
    .sector = sector,
    .record = (uint32_t)record,
    .mft_lcn = le64(boot + 48),
  };
  return parsed->mft_lcn < parsed->sectors / per;
}

int
ntfs_read_boot(struct usage *usage, struct ntfs *fs)
{
  uint8_t bytes[NTFS_BOOT];
  struct ntfs_boot boot;
  int r = source_read(&usage->source, bytes, sizeof bytes, 0);

  if (r < 0)
    return r;
  if (!ntfs_parse_boot(bytes, &boot))
    return usage_refuse(usage, NTFS_CHKDSK, "has an odd boot sector");
  if (boot.sectors > usage->source.len / boot.sector)
    return usage_refuse(usage, NTFS_CHKDSK, "is larger than its place");
  fs->cluster = boot.cluster;
  fs->clusters = boot.sectors / (boot.cluster / boot.sector);
  fs->record = boot.record;
  fs->mft_lcn = boot.mft_lcn;
  return 0;
}

/* ----------------------------------------------------------------- records */

int
ntfs_mend_record(uint8_t *record, uint32_t size, const char *magic)
{
  const uint32_t at = le16(record + 4), n = le16(record + 6);

  if (memcmp(record, magic, 4) != 0 || n != size / NTFS_SECTOR + 1 ||
      at < 8 || at % 2 != 0 || at + 2 * n > size ||
      at + 2 * n > NTFS_SECTOR * ((at / NTFS_SECTOR) + 1) - 2)
    return -EUCLEAN;
  const uint8_t *number = record + at;
  for (uint32_t i = 1; i < n; i++) {
    uint8_t *end = record + i * NTFS_SECTOR - 2;
    if (memcmp(end, number, 2) != 0)
      return -EUCLEAN;
    memcpy(end, number + 2 * i, 2);
  }
  return 0;
}

int
ntfs_read_record(struct usage *usage, uint64_t number, bool base,
                 uint8_t *record)
{
  struct ntfs *fs = usage->fs;

  if (number > UINT32_MAX)
    return -EUCLEAN;
  int r = ntfs_read_stream(usage, &fs->mft, record, fs->record,
                           number * fs->record);
  if (r == 0)
    r = ntfs_mend_record(record, fs->record, "FILE");
  if (r < 0)
    return r;
  const bool in_use = (le16(record + 22) & 1) != 0;
  const bool is_base = le64(record + 32) == 0;
  return in_use && is_base == base ? 0 : -EUCLEAN;
}

/* --------------------------------------------------------------- attributes */

static int
parse_attr(struct ntfs_attr *attr, uint32_t room)
{
  const uint8_t *at = attr->at;

  if (room < 24)
    return -EUCLEAN;
  attr->len = le32(at + 4);
  attr->nonresident = at[8] != 0;
  attr->name_len = at[9];
  const uint32_t name = le16(at + 10);
  if (attr->len < 24 || attr->len % 8 != 0 || attr->len > room ||
      name + 2 * attr->name_len > attr->len)
    return -EUCLEAN;
  attr->name = at + name;
  uint32_t value = attr->nonresident ? 0 : le16(at + 20);
  attr->value_len = attr->nonresident ? 0 : le32(at + 16);
  if (attr->nonresident) {
    if (attr->len < 64)
      return -EUCLEAN;
    value = le16(at + 32);
    if (value < 64 || value > attr->len)
      return -EUCLEAN;
    attr->value_len = attr->len - value;
  }
  if (value > attr->len || attr->value_len > attr->len - value)
    return -EUCLEAN;
  attr->value = at + value;
  return 1;
}

int
ntfs_next_attr(const uint8_t *record, uint32_t size, struct ntfs_attr *attr)
{
  const uint32_t used = le32(record + 24);
  uint32_t at = attr->at == NULL ? le16(record + 20)
                                 : (uint32_t)(attr->at - record) + attr->len;

  if (used > size || at < 42 || at % 4 != 0 || used < 4 || at > used - 4)
    return -EUCLEAN;
  attr->at = record + at;
  attr->type = le32(record + at);
  return attr->type == UINT32_MAX ? 0 : parse_attr(attr, used - at);
}

bool
ntfs_has_name(const uint8_t *utf16, unsigned len, const char *name)
{
  for (unsigned i = 0; i < len; i++) {
    const uint16_t c = le16(utf16 + 2 * i);
    const uint16_t low = c >= 'A' && c <= 'Z' ? (uint16_t)(c + 32) : c;
    if (name[i] == '\0' || low != (uint8_t)name[i])
      return false;
  }
  return name[len] == '\0';
}

int
ntfs_find_attr(const uint8_t *record, uint32_t size, uint32_t type,
               const char *name, struct ntfs_attr *attr)
{
  int r;

  *attr = (struct ntfs_attr){ .at = NULL };
  while ((r = ntfs_next_attr(record, size, attr)) == 1)
    if (attr->type == type && ntfs_has_name(attr->name, attr->name_len, name))
      break;
  return r;
}
