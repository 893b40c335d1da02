/* SPDX-License-Identifier: BSD-2-Clause */
/* table.h: tables on standard output, columns as wide as their content. */
#ifndef TOOL_TABLE_H
#define TOOL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct table;

struct table_column {
  const char *name;
  bool right; /* numbers */
};

/* Never NULL: aborts when out of memory. */
struct table *table_new(const struct table_column *columns, size_t n);
/* One string a column; they are copied.  NULL is an empty cell. */
void table_row(struct table *table, const char *const *cells);
/* Prints what has not been printed yet, and frees. */
void table_free(struct table *table);

#endif
