/* SPDX-License-Identifier: BSD-2-Clause */
/* fat.h: what FAT12, FAT16 and FAT32 do not use. */
#ifndef TOOL_INSIDE_FAT_H
#define TOOL_INSIDE_FAT_H

#include "inside/usage.h"

extern const struct usage_reader fat_reader;

#endif
