/* SPDX-License-Identifier: BSD-2-Clause */
/* formats.h: what a file is, as the command line says it.  Never guessed: who
 * writes to a raw disk could choose what it looks like.  Pure. */
#ifndef TOOL_FORMATS_H
#define TOOL_FORMATS_H

#include <stdint.h>

#include "options.h"
#include "vhdkit.h"

enum format {
  FORMAT_VHD,
  FORMAT_RAW,
};

extern const struct option_choice formats[];

/* What opening such a file takes. */
static inline uint32_t
format_flags(int format)
{
  return format == FORMAT_RAW ? VHD_OPEN_RAW : 0;
}

#endif
