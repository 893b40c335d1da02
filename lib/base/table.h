/* SPDX-License-Identifier: BSD-2-Clause */
/* table.h: memory for tables that may be MiBs large.  Any thread. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stddef.h>

/* n elements of zeros, of which only what is touched takes memory, whatever was
 * freed before.  NULL where there is none. */
void *table_zeroed(size_t n, size_t size);
/* Most of a table of so many bytes, from one of them on, is about to be filled:
 * gets memory for it at once, in huge pages where the system has them, for a
 * page fault for every 4 KiB costs more than what fills them.  Returns where
 * that ends. */
size_t table_populate(void *table, size_t bytes, size_t from);
/* n and size as it was made with; NULL is none. */
void table_free(void *table, size_t n, size_t size);

#endif
