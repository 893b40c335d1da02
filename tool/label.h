/* SPDX-License-Identifier: BSD-2-Clause */
/* label.h: the empty partition table of a new disk. */
#ifndef TOOL_LABEL_H
#define TOOL_LABEL_H

#include <stdint.h>

#include "vhdkit.h"

enum label_kind {
  LABEL_NONE,
  LABEL_MBR,
  LABEL_GPT,
};

#define LABEL_PARTS 2

/* What a disk of that size holds that has such a table and no partition; parts
 * gets the *n of it, for label_free(), whatever is returned.  0, or -1 after a
 * complaint. */
int label_make(enum label_kind kind, uint64_t size,
               struct vhd_content parts[LABEL_PARTS], size_t *n);
void label_free(struct vhd_content parts[LABEL_PARTS], size_t n);

#endif
