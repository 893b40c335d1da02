/* SPDX-License-Identifier: BSD-2-Clause */
/* disk_order.c: see disk_order.h. */
#include "config.h"

#include "provision/disk_order.h"

#include <stdlib.h>

void
disk_outcome_clear(struct disk_outcome *outcome)
{
  disk_folder_free(&outcome->folder);
  free(outcome->children);
  *outcome = (struct disk_outcome){ .number = 0 };
}
