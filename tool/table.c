/* SPDX-License-Identifier: BSD-2-Clause */
/* table.c: see table.h; the one file that knows libsmartcols.  A long table
 * is printed in parts, so that its size does not decide over memory. */
#include "config.h"

#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>

#include "table.h"

#define ROWS_AT_ONCE 10000

struct table {
  struct libscols_table *scols;
  size_t ncolumn, nrow;
};

struct table *
table_new(const struct table_column *columns, size_t n)
{
  struct table *table = calloc(1, sizeof *table);

  scols_init_debug(0);
  if (table == NULL || (table->scols = scols_new_table()) == NULL)
    abort();
  table->ncolumn = n;
  for (size_t i = 0; i < n; i++)
    if (scols_table_new_column(table->scols, columns[i].name, 0,
                               columns[i].right ? SCOLS_FL_RIGHT : 0) == NULL)
      abort();
  return table;
}

static void
print_rows(struct table *table)
{
  fflush(stdout);
  scols_print_table(table->scols);
  scols_table_remove_lines(table->scols);
  scols_table_enable_noheadings(table->scols, 1);
  table->nrow = 0;
}

void
table_row(struct table *table, const char *const *cells)
{
  struct libscols_line *line = scols_table_new_line(table->scols, NULL);

  if (line == NULL)
    abort();
  for (size_t i = 0; i < table->ncolumn; i++)
    if (cells[i] != NULL && scols_line_set_data(line, i, cells[i]) < 0)
      abort();
  if (++table->nrow == ROWS_AT_ONCE)
    print_rows(table);
}

void
table_free(struct table *table)
{
  if (table->nrow > 0)
    print_rows(table);
  scols_unref_table(table->scols);
  free(table);
}
