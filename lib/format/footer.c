/* SPDX-License-Identifier: BSD-2-Clause */
/* footer.c: the footer's 512 bytes <-> struct footer.  Owns nothing; any
 * thread. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/error.h"
#include "format/footer.h"

#define FOOTER_VERSION 0x00010000

static const char cookie[8] = "conectix";
static const char poison[8] = "v_poison";

struct footer_disk {
  char cookie[8];
  struct be32 features;
  struct be32 version;
  struct be64 data_offset;
  struct be32 timestamp;
  char creator[4];
  struct be32 creator_version;
  char creator_os[4];
  struct be64 original_size;
  struct be64 current_size;
  struct be16 cylinders;
  uint8_t heads;
  uint8_t sectors;
  struct be32 type;
  struct be32 checksum;
  uint8_t id[16];
  uint8_t saved_state;
  uint8_t hidden;
  uint8_t reserved[FOOTER_RESERVED];
};

_Static_assert(sizeof(struct footer_disk) == FOOTER_SIZE, "size of a footer");
_Static_assert(offsetof(struct footer_disk, data_offset) == 16, "layout");
_Static_assert(offsetof(struct footer_disk, creator) == 28, "layout");
_Static_assert(offsetof(struct footer_disk, original_size) == 40, "layout");
_Static_assert(offsetof(struct footer_disk, current_size) == 48, "layout");
_Static_assert(offsetof(struct footer_disk, cylinders) == 56, "layout");
_Static_assert(offsetof(struct footer_disk, type) == 60, "layout");
_Static_assert(offsetof(struct footer_disk, checksum) == 64, "layout");
_Static_assert(offsetof(struct footer_disk, id) == 68, "layout");
_Static_assert(offsetof(struct footer_disk, saved_state) == 84, "layout");
_Static_assert(offsetof(struct footer_disk, reserved) == 86, "layout");

bool
footer_has_cookie(const uint8_t *buf)
{
  return memcmp(buf, cookie, sizeof cookie) == 0 ||
         memcmp(buf, poison, sizeof poison) == 0;
}

uint32_t
vhd_checksum(const uint8_t *buf, size_t len, size_t skip)
{
  uint32_t sum = 0;

  for (size_t i = 0; i < MIN(skip, len); i++)
    sum += buf[i];
  for (size_t i = skip + 4; i < len; i++)
    sum += buf[i];
  return ~sum;
}

/* Everything that says whether these bytes are a footer at all. */
static int
check_envelope(const struct footer_disk *disk, const uint8_t *buf,
               const char *path, const char *place, struct vhd_error *err)
{
  if (memcmp(disk->cookie, poison, sizeof poison) == 0)
    return vhd_fail(err, VHD_STATE, EINVAL,
                    "%s: %s: marked \"v_poison\": vhd-util was interrupted "
                    "while it resized this image; let it finish or undo that",
                    path, place);
  if (memcmp(disk->cookie, cookie, sizeof cookie) != 0)
    return vhd_fail(err, VHD_FOOTER_MISSING, EINVAL,
                    "%s: %s: no VHD footer (it would begin with \"conectix\")",
                    path, place);

  uint32_t stored = be32_get(disk->checksum);
  uint32_t computed =
    vhd_checksum(buf, FOOTER_SIZE, offsetof(struct footer_disk, checksum));
  if (stored != computed)
    return vhd_fail(err, VHD_FOOTER_CHECKSUM, EINVAL,
                    "%s: %s: its checksum is 0x%08" PRIx32
                    ", but its bytes sum to 0x%08" PRIx32,
                    path, place, stored, computed);

  uint32_t version = be32_get(disk->version);
  if (version != FOOTER_VERSION)
    return vhd_fail(err, VHD_FORMAT_VERSION, EINVAL,
                    "%s: %s: format version %u.%u; only 1.0 is known", path,
                    place, version >> 16, version & 0xffff);
  return 0;
}

static int
check_type(const struct footer *footer, const char *path, const char *place,
           struct vhd_error *err)
{
  switch (footer->type) {
  case VHD_FIXED:
  case VHD_DYNAMIC:
  case VHD_DIFFERENCING:
    return 0;
  default:
    return vhd_fail(err, VHD_TYPE, EINVAL,
                    "%s: %s: disk type %" PRIu32
                    "; known are 2 (fixed), 3 (dynamic), 4 (differencing)",
                    path, place, footer->type);
  }
}

static int
check_size(const struct footer *footer, const char *path, const char *place,
           struct vhd_error *err)
{
  /* A fixed disk and its footer make a file of at most 2^63 - 1 bytes. */
  uint64_t limit = footer->type == VHD_FIXED ? (uint64_t)INT64_MAX - 1023
                                             : VHD_MAX_DYNAMIC_SIZE;
  uint64_t size = footer->current_size;

  if (size == 0)
    return vhd_fail(err, VHD_SIZE, EINVAL, "%s: %s: a disk of size 0", path,
                    place);
  if (size > limit)
    return vhd_fail(err, VHD_SIZE, EINVAL,
                    "%s: %s: a disk of %" PRIu64
                    " bytes; this type has at most %" PRIu64,
                    path, place, size, limit);
  if (size % VHD_SECTOR_SIZE != 0)
    return vhd_fail(err, VHD_SIZE, EINVAL,
                    "%s: %s: a disk of %" PRIu64
                    " bytes, which is not a multiple of 512",
                    path, place, size);
  return 0;
}

static int
check_data_offset(const struct footer *footer, const char *path,
                  const char *place, struct vhd_error *err)
{
  uint64_t off = footer->data_offset;

  /* There it is not used, and some creators write 0 or 512. */
  if (footer->type == VHD_FIXED)
    return 0;
  if (off < FOOTER_SIZE || off % VHD_SECTOR_SIZE != 0 || off > INT64_MAX / 2)
    return vhd_fail(err, VHD_FOOTER_CORRUPT, EINVAL,
                    "%s: %s: the dynamic header cannot lie at offset %" PRIu64,
                    path, place, off);
  return 0;
}

int
footer_parse(const uint8_t *buf, const char *path, const char *place,
             struct footer *footer, struct vhd_error *err)
{
  struct footer_disk disk;
  memcpy(&disk, buf, sizeof disk);

  int r = check_envelope(&disk, buf, path, place, err);
  if (r < 0)
    return r;

  *footer = (struct footer) {
    .features = be32_get(disk.features),
    .data_offset = be64_get(disk.data_offset),
    .timestamp = be32_get(disk.timestamp),
    .creator_version = be32_get(disk.creator_version),
    .original_size = be64_get(disk.original_size),
    .current_size = be64_get(disk.current_size),
    .cylinders = be16_get(disk.cylinders),
    .heads = disk.heads,
    .sectors = disk.sectors,
    .type = be32_get(disk.type),
    .saved_state = disk.saved_state,
    .hidden = disk.hidden,
  };
  memcpy(footer->creator, disk.creator, sizeof footer->creator);
  memcpy(footer->creator_os, disk.creator_os, sizeof footer->creator_os);
  memcpy(footer->id, disk.id, sizeof footer->id);
  memcpy(footer->reserved, disk.reserved, sizeof footer->reserved);

  r = check_type(footer, path, place, err);
  if (r == 0)
    r = check_size(footer, path, place, err);
  if (r == 0)
    r = check_data_offset(footer, path, place, err);
  return r;
}

static void
seal(uint8_t *buf)
{
  struct footer_disk disk;

  memcpy(&disk, buf, sizeof disk);
  disk.checksum = be32_put(
    vhd_checksum(buf, FOOTER_SIZE, offsetof(struct footer_disk, checksum)));
  memcpy(buf, &disk, sizeof disk);
}

void
footer_mend(uint8_t *buf)
{
  memcpy(buf, cookie, sizeof cookie);
  seal(buf);
}

const char *
footer_difference(const struct footer *a, const struct footer *b)
{
  if (a->type != b->type)
    return "type";
  if (a->current_size != b->current_size)
    return "size";
  if (a->data_offset != b->data_offset)
    return "data offset";
  return memcmp(a->id, b->id, sizeof a->id) != 0 ? "unique id" : NULL;
}

void
footer_format(const struct footer *footer, uint8_t *buf)
{
  struct footer_disk disk = {
    .features = be32_put(footer->features),
    .version = be32_put(FOOTER_VERSION),
    .data_offset = be64_put(footer->data_offset),
    .timestamp = be32_put(footer->timestamp),
    .creator_version = be32_put(footer->creator_version),
    .original_size = be64_put(footer->original_size),
    .current_size = be64_put(footer->current_size),
    .cylinders = be16_put(footer->cylinders),
    .heads = footer->heads,
    .sectors = footer->sectors,
    .type = be32_put(footer->type),
    .saved_state = footer->saved_state,
    .hidden = footer->hidden,
  };
  memcpy(disk.cookie, cookie, sizeof disk.cookie);
  memcpy(disk.creator, footer->creator, sizeof disk.creator);
  memcpy(disk.creator_os, footer->creator_os, sizeof disk.creator_os);
  memcpy(disk.id, footer->id, sizeof disk.id);
  memcpy(disk.reserved, footer->reserved, sizeof disk.reserved);

  memcpy(buf, &disk, sizeof disk);
  seal(buf);
}
