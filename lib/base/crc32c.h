/* SPDX-License-Identifier: BSD-2-Clause */
/* crc32c.h: the checksum of VHDX's structures (CRC-32C, Castagnoli).  Pure; any
 * thread. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from the sum of what lies before; of nothing it is 0. */
uint32_t crc32c(uint32_t sum, const void *data, size_t len);

#endif
