/* SPDX-License-Identifier: BSD-2-Clause */
/* ext.h: what ext2, ext3 and ext4 do not use. */
#ifndef TOOL_INSIDE_EXT_H
#define TOOL_INSIDE_EXT_H

#include "inside/usage.h"

/* NULL where vhdkit was built without libext2fs. */
extern const struct usage_reader *const ext_reader;

#endif
