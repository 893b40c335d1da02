/* SPDX-License-Identifier: BSD-2-Clause */
/* rescue.h: what there is of an image that need not be sound, for vhdkit
 * info --force. */
#ifndef TOOL_RESCUE_H
#define TOOL_RESCUE_H

#include <stdbool.h>

#include "vhdkit.h"

/* Prints it.  An exit code. */
int rescue_show(const char *path, bool json,
                const char *(*type_name)(enum vhd_type));

#endif
