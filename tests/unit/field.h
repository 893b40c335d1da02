/* SPDX-License-Identifier: BSD-2-Clause */
/* field.h: big-endian fields of raw bytes and the format's checksums, for
 * tests: apart from the code under test. */
#ifndef UNIT_FIELD_H
#define UNIT_FIELD_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t
unit_get(const uint8_t *buf, size_t off, unsigned bytes)
{
  uint64_t value = 0;
  for (unsigned i = 0; i < bytes; i++)
    value = value << 8 | buf[off + i];
  return value;
}

static inline void
unit_put(uint8_t *buf, size_t off, unsigned bytes, uint64_t value)
{
  for (unsigned i = bytes; i-- > 0; value >>= 8)
    buf[off + i] = (uint8_t)value;
}

/* Puts the right checksum at off of a footer or header. */
static inline void
unit_checksum(uint8_t *buf, size_t len, size_t off)
{
  uint32_t sum = 0;
  unit_put(buf, off, 4, 0);
  for (size_t i = 0; i < len; i++)
    sum += buf[i];
  unit_put(buf, off, 4, ~sum);
}

#endif
