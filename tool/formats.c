/* SPDX-License-Identifier: BSD-2-Clause */
/* formats.c: see formats.h. */
#include "config.h"

#include "formats.h"

const struct option_choice formats[] = {
  { "vhd", FORMAT_VHD },
  { "raw", FORMAT_RAW },
  { NULL, 0 },
};
