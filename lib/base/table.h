/* SPDX-License-Identifier: BSD-2-Clause */
/* table.h: memory for tables that may be MiBs large.  Any thread. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stddef.h>

/* Memory that is about to be filled from end to end, not zeroed; in huge pages
 * where the system has them, for a page fault for every 4 KiB costs more than
 * what fills them.  NULL where there is none; for free(). */
void *table_alloc(size_t bytes);

/* n elements of zeros, of which only what is touched takes memory, whatever was
 * freed before; for table_free().  NULL where there is none. */
void *table_zeroed(size_t n, size_t size);
void table_free(void *table);

#endif
