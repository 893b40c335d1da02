/* SPDX-License-Identifier: BSD-2-Clause */
/* vhdx_table.h: what VHDX's structures have in common; for vhdx*.c alone.
 * Pure. */
#ifndef FORMAT_VHDX_TABLE_H
#define FORMAT_VHDX_TABLE_H

#include "format/vhdx.h"

/* Where the checksum lies in each structure that has one. */
#define VHDX_SUM_OFF 4

bool vhdx_sum_ok(const uint8_t *buf, size_t len);
enum vhdx_kind vhdx_kind_of(const uint8_t *id);

#endif
