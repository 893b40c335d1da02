/* SPDX-License-Identifier: BSD-2-Clause */
/* wire.h: integers as they travel: big endian, unaligned.
 *
 * Each width is a type of its own, so that a missing swap does not compile and
 * a struct of them has the layout of the wire.  Pure; any thread. */
#ifndef NBD_WIRE_H
#define NBD_WIRE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

struct nbd_be16 {
  unsigned char b[2];
};
struct nbd_be32 {
  unsigned char b[4];
};
struct nbd_be64 {
  unsigned char b[8];
};

static inline uint16_t
nbd_get16(struct nbd_be16 v)
{
  uint16_t raw;
  memcpy(&raw, v.b, sizeof raw);
  return be16toh(raw);
}

static inline uint32_t
nbd_get32(struct nbd_be32 v)
{
  uint32_t raw;
  memcpy(&raw, v.b, sizeof raw);
  return be32toh(raw);
}

static inline uint64_t
nbd_get64(struct nbd_be64 v)
{
  uint64_t raw;
  memcpy(&raw, v.b, sizeof raw);
  return be64toh(raw);
}

static inline struct nbd_be16
nbd_be16(uint16_t host)
{
  struct nbd_be16 v;
  uint16_t raw = htobe16(host);
  memcpy(v.b, &raw, sizeof raw);
  return v;
}

static inline struct nbd_be32
nbd_be32(uint32_t host)
{
  struct nbd_be32 v;
  uint32_t raw = htobe32(host);
  memcpy(v.b, &raw, sizeof raw);
  return v;
}

static inline struct nbd_be64
nbd_be64(uint64_t host)
{
  struct nbd_be64 v;
  uint64_t raw = htobe64(host);
  memcpy(v.b, &raw, sizeof raw);
  return v;
}

#endif
