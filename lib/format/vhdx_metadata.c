/* SPDX-License-Identifier: BSD-2-Clause */
/* vhdx_metadata.c: the metadata table of a VHDX file, and its items; see
 * vhdx.h.  Any thread. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "format/vhdx.h"
#include "format/vhdx_table.h"

/* -------------------------------------------------------------------- table */

struct disk_items {
  char signature[8];
  struct le16 reserved, count;
  uint8_t reserved2[20];
};

struct disk_item {
  uint8_t id[16];
  struct le32 off, len, flags, reserved;
};

enum item_flags {
  ITEM_USER = 1 << 0,
  ITEM_REQUIRED = 1 << 2,
};

int
vhdx_items_check(const uint8_t *buf, const char **why)
{
  struct disk_items d;

  memcpy(&d, buf, sizeof d);
  *why = "has no signature";
  if (memcmp(d.signature, "metadata", sizeof d.signature) != 0)
    return -EINVAL;
  *why = "has more entries than can be";
  return le16_get(d.count) > VHDX_MAX_ENTRIES ? -EINVAL : le16_get(d.count);
}

int
vhdx_item_parse(const uint8_t *buf, unsigned i, struct vhdx_item *item)
{
  struct disk_item d;

  memcpy(&d, buf + sizeof(struct disk_items) + i * sizeof d, sizeof d);
  item->off = le32_get(d.off);
  item->len = le32_get(d.len);
  item->user = le32_get(d.flags) & ITEM_USER;
  item->required = le32_get(d.flags) & ITEM_REQUIRED;
  /* What users store under the id of an item is none. */
  item->kind = item->user ? VHDX_UNKNOWN : vhdx_kind_of(d.id);
  return item->len <= VHDX_MAX_ITEM &&
             (item->len == 0 || item->off >= VHDX_TABLE_SIZE)
           ? 0 : -EINVAL;
}

/* -------------------------------------------------------------------- items */

struct disk_parameters {
  struct le32 block_size, flags;
};

int
vhdx_parameters_parse(const uint8_t *buf, size_t len,
                      struct vhdx_parameters *p, const char **why)
{
  struct disk_parameters d;

  *why = "are too short";
  if (len < sizeof d)
    return -EINVAL;
  memcpy(&d, buf, sizeof d);
  p->block_size = le32_get(d.block_size);
  p->leave_allocated = le32_get(d.flags) & 1;
  p->has_parent = le32_get(d.flags) & 2;
  *why = "name a block size that cannot be";
  return is_power_of_two(p->block_size) && p->block_size >= VHDX_UNIT &&
             p->block_size <= VHDX_MAX_BLOCK
           ? 0 : -EINVAL;
}

static bool
is_sector_size(uint64_t size)
{
  return size == 512 || size == 4096;
}

int
vhdx_number_parse(enum vhdx_kind kind, const uint8_t *buf, size_t len,
                  uint64_t *value, const char **why)
{
  struct le64 v64;
  struct le32 v32;

  *why = "is too short";
  if (len < (kind == VHDX_SIZE ? sizeof v64 : sizeof v32))
    return -EINVAL;
  *why = "cannot be";
  if (kind == VHDX_SIZE) {
    memcpy(&v64, buf, sizeof v64);
    *value = le64_get(v64);
    return *value > 0 && *value <= VHDX_MAX_SIZE ? 0 : -EINVAL;
  }
  memcpy(&v32, buf, sizeof v32);
  *value = le32_get(v32);
  return is_sector_size(*value) ? 0 : -EINVAL;
}

/* ------------------------------------------------------------------ locator */

struct disk_locator {
  uint8_t type[16];
  struct le16 reserved, count;
};

struct disk_pair {
  struct le32 key_off, value_off;
  struct le16 key_len, value_len;
};

/* The one type there is: the parent is a VHDX. */
static const uint8_t locator_type[17] = "\xb7\xef\x4a\xb0\x9e\xd1\x81\x4a"
                                        "\xb7\x89\x25\xb8\xe9\x44\x59\x13";

static unsigned
count_pairs(const uint8_t *buf)
{
  struct disk_locator d;

  memcpy(&d, buf, sizeof d);
  return le16_get(d.count);
}

static struct disk_pair
pair_at(const uint8_t *buf, unsigned i)
{
  struct disk_pair pair;

  memcpy(&pair, buf + sizeof(struct disk_locator) + i * sizeof pair,
         sizeof pair);
  return pair;
}

int
vhdx_locator_check(const uint8_t *buf, size_t len, const char **why)
{
  const size_t head = sizeof(struct disk_locator);

  *why = "is too short";
  if (len < head)
    return -EINVAL;
  *why = "is of a type that is not known";
  if (memcmp(buf, locator_type, 16) != 0)
    return -EINVAL;
  *why = "has more entries than fit in it";
  if (count_pairs(buf) * sizeof(struct disk_pair) > len - head)
    return -EINVAL;
  *why = "has an entry that does not lie in it";
  for (unsigned i = 0; i < count_pairs(buf); i++) {
    struct disk_pair p = pair_at(buf, i);
    if (!range_fits(le32_get(p.key_off), le16_get(p.key_len), len) ||
        !range_fits(le32_get(p.value_off), le16_get(p.value_len), len))
      return -EINVAL;
  }
  return 0;
}

/* Is it this ASCII text, as UTF-16? */
static bool
is_key(const uint8_t *key, size_t len, const char *text)
{
  if (len != 2 * strlen(text))
    return false;
  for (size_t i = 0; text[i] != '\0'; i++)
    if (key[2 * i] != (uint8_t)text[i] || key[2 * i + 1] != 0)
      return false;
  return true;
}

int
vhdx_locator_find(const uint8_t *buf, const char *key, const uint8_t **value,
                  size_t *len)
{
  for (unsigned i = 0; i < count_pairs(buf); i++) {
    struct disk_pair p = pair_at(buf, i);
    if (!is_key(buf + le32_get(p.key_off), le16_get(p.key_len), key))
      continue;
    *value = buf + le32_get(p.value_off);
    *len = le16_get(p.value_len);
    return 0;
  }
  return -ENOENT;
}
