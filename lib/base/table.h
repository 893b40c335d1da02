/* SPDX-License-Identifier: BSD-2-Clause */
/* table.h: memory for tables that may be MiBs large.  Any thread. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stddef.h>

/* Memory that is about to be filled from end to end, not zeroed; in huge pages
 * where the system has them, for a page fault for every 4 KiB costs more than
 * what fills them.  NULL where there is none; for free(). */
void *table_alloc(size_t bytes);

#endif
