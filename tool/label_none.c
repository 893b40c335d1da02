/* SPDX-License-Identifier: BSD-2-Clause */
/* label_none.c: partition tables where there is no libfdisk; see label.h. */
#include "config.h"

#include "label.h"
#include "message.h"

int
label_make(enum label_kind kind, uint64_t size,
           struct vhd_content parts[LABEL_PARTS], size_t *n)
{
  (void)kind;
  (void)size;
  (void)parts;
  *n = 0;
  complain("--label: this vhdkit was built without libfdisk; build it with "
           "libfdisk-dev installed");
  return -1;
}
