/* SPDX-License-Identifier: BSD-2-Clause */
/* record.h: an attachment as a file: strings KEY=VALUE, each ended by a zero
 * byte, so that names may hold anything. */
#ifndef TOOL_ATTACH_RECORD_H
#define TOOL_ATTACH_RECORD_H

#include "attach/folder.h"

/* The file NAME of a folder.  Return 0 or -errno; -EINVAL: it is none of ours.
 * Processes of a former boot are none. */
int record_read(int folder, const char *name, struct attachment *a);
/* The file is replaced by one rename. */
int record_write(int folder, const char *name, const struct attachment *a);

#endif
