/* SPDX-License-Identifier: BSD-2-Clause */
/* vhdx.c: the signature, headers and region tables of a VHDX file; see
 * vhdx.h.  Any thread. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "format/vhdx.h"
#include "format/vhdx_table.h"

bool
vhdx_has_signature(const uint8_t *buf)
{
  return memcmp(buf, "vhdxfile", VHDX_SIGNATURE_SIZE) == 0;
}

/* ---------------------------------------------------------------- checksum */

bool
vhdx_sum_ok(const uint8_t *buf, size_t len)
{
  static const uint8_t zeros[sizeof(struct le32)];
  const size_t end = VHDX_SUM_OFF + sizeof(struct le32);
  struct le32 stored;

  memcpy(&stored, buf + VHDX_SUM_OFF, sizeof stored);
  uint32_t sum = crc32c(0, buf, VHDX_SUM_OFF);
  sum = crc32c(sum, zeros, sizeof zeros);
  return crc32c(sum, buf + end, len - end) == le32_get(stored);
}

/* ---------------------------------------------------------------------- ids */

/* Windows' order: the first three fields are little-endian. */
static const struct {
  enum vhdx_kind kind;
  uint8_t id[16];
} known[] = {
  { VHDX_BAT, "\x66\x77\xc2\x2d\x23\xf6\x00\x42"
              "\x9d\x64\x11\x5e\x9b\xfd\x4a\x08" },
  { VHDX_METADATA, "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b"
                   "\xb8\xfe\x57\x5f\x05\x0f\x88\x6e" },
  { VHDX_PARAMETERS, "\x37\x67\xa1\xca\x36\xfa\x43\x4d"
                     "\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b" },
  { VHDX_SIZE, "\x24\x42\xa5\x2f\x1b\xcd\x76\x48"
               "\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8" },
  { VHDX_DISK_ID, "\xab\x12\xca\xbe\xe6\xb2\x23\x45"
                  "\x93\xef\xc3\x09\xe0\x00\xc7\x46" },
  { VHDX_LOGICAL_SECTOR, "\x1d\xbf\x41\x81\x6f\xa9\x09\x47"
                         "\xba\x47\xf2\x33\xa8\xfa\xab\x5f" },
  { VHDX_PHYSICAL_SECTOR, "\xc7\x48\xa3\xcd\x5d\x44\x71\x44"
                          "\x9c\xc9\xe9\x88\x52\x51\xc5\x56" },
  { VHDX_LOCATOR, "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45"
                  "\xab\xf7\xd3\xd8\x48\x34\xab\x0c" },
};

enum vhdx_kind
vhdx_kind_of(const uint8_t *id)
{
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (memcmp(known[i].id, id, sizeof known[i].id) == 0)
      return known[i].kind;
  return VHDX_UNKNOWN;
}

/* ------------------------------------------------------------------- header */

struct disk_header {
  char signature[4];
  struct le32 sum;
  struct le64 sequence;
  uint8_t file_id[16], data_id[16], log_id[16];
  struct le16 log_version, version;
  struct le32 log_len;
  struct le64 log_off;
};

int
vhdx_header_parse(const uint8_t *buf, struct vhdx_header *h, const char **why)
{
  struct disk_header d;

  memcpy(&d, buf, sizeof d);
  *why = "has no signature";
  if (memcmp(d.signature, "head", sizeof d.signature) != 0)
    return -EINVAL;
  *why = "has a wrong checksum";
  if (!vhdx_sum_ok(buf, VHDX_HEADER_SIZE))
    return -EINVAL;
  *why = "is of a version that is not known";
  if (le16_get(d.version) != 1)
    return -ENOTSUP;
  h->sequence = le64_get(d.sequence);
  memcpy(h->data_id, d.data_id, sizeof h->data_id);
  memcpy(h->log_id, d.log_id, sizeof h->log_id);
  h->log_version = le16_get(d.log_version);
  h->log_len = le32_get(d.log_len);
  h->log_off = le64_get(d.log_off);
  return 0;
}

bool
vhdx_header_has_place(const struct vhdx_header *h)
{
  return h->log_len % VHDX_UNIT == 0 && h->log_off % VHDX_UNIT == 0 &&
         h->log_off >= VHDX_UNIT;
}

/* ------------------------------------------------------------------ regions */

struct disk_regions {
  char signature[4];
  struct le32 sum, count, reserved;
};

struct disk_region {
  uint8_t id[16];
  struct le64 off;
  struct le32 len, required;
};

int
vhdx_regions_check(const uint8_t *buf, const char **why)
{
  struct disk_regions d;

  memcpy(&d, buf, sizeof d);
  *why = "has no signature";
  if (memcmp(d.signature, "regi", sizeof d.signature) != 0)
    return -EINVAL;
  *why = "has a wrong checksum";
  if (!vhdx_sum_ok(buf, VHDX_TABLE_SIZE))
    return -EINVAL;
  *why = "has more entries than can be";
  return le32_get(d.count) > VHDX_MAX_ENTRIES ? -EINVAL
                                              : (int)le32_get(d.count);
}

int
vhdx_region_parse(const uint8_t *buf, unsigned i, struct vhdx_region *region)
{
  struct disk_region d;

  memcpy(&d, buf + sizeof(struct disk_regions) + i * sizeof d, sizeof d);
  region->kind = vhdx_kind_of(d.id);
  region->off = le64_get(d.off);
  region->len = le32_get(d.len);
  region->required = le32_get(d.required) & 1;
  return region->off % VHDX_UNIT == 0 && region->len % VHDX_UNIT == 0 &&
             region->off >= VHDX_UNIT && region->len > 0
           ? 0 : -EINVAL;
}
