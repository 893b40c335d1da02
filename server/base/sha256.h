/* SPDX-License-Identifier: BSD-2-Clause */
/* sha256.h: the hash of FIPS 180-4, where a short name has to stand for a long
 * one that somebody else may choose.  Not for secrets.  Pure. */
#ifndef SERVER_BASE_SHA256_H
#define SERVER_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

struct sha256 {
  uint32_t state[8];
  uint64_t len;
  unsigned char block[64];
};

void sha256_init(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *bytes, size_t len);
void sha256_end(struct sha256 *hash, unsigned char digest[SHA256_SIZE]);

#endif
