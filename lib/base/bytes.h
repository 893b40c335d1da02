/* SPDX-License-Identifier: BSD-2-Clause */
/* bytes.h: integers as they lie on disk, and bytes that are all the same.
 *
 * Each width and byte order of an integer is a type of its own, so that a
 * missing swap does not compile, and has no alignment, so that a struct of them
 * has the layout of the disk.  Pure; any thread. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct be16 { unsigned char b[2]; };
struct be32 { unsigned char b[4]; };
struct be64 { unsigned char b[8]; };
struct le16 { unsigned char b[2]; };
struct le32 { unsigned char b[4]; };
struct le64 { unsigned char b[8]; };

#define BYTES_GET_PUT(type, bits, load, store)                       \
  static inline uint##bits##_t                                       \
  type##_get(struct type v)                                          \
  {                                                                  \
    uint##bits##_t raw;                                              \
    memcpy(&raw, v.b, sizeof raw);                                   \
    return load(raw);                                                \
  }                                                                  \
                                                                     \
  static inline struct type                                          \
  type##_put(uint##bits##_t host)                                    \
  {                                                                  \
    struct type v;                                                   \
    uint##bits##_t raw = store(host);                                \
    memcpy(v.b, &raw, sizeof raw);                                   \
    return v;                                                        \
  }

BYTES_GET_PUT(be16, 16, be16toh, htobe16)
BYTES_GET_PUT(be32, 32, be32toh, htobe32)
BYTES_GET_PUT(be64, 64, be64toh, htobe64)
BYTES_GET_PUT(le16, 16, le16toh, htole16)
BYTES_GET_PUT(le32, 32, le32toh, htole32)
BYTES_GET_PUT(le64, 64, le64toh, htole64)

#undef BYTES_GET_PUT

/* Do len bytes all have this value? */
static inline bool
bytes_all(const void *data, size_t len, uint8_t value)
{
  const uint8_t *p = data;

  return len == 0 || (p[0] == value && memcmp(p, p + 1, len - 1) == 0);
}

#endif
