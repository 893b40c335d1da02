/* SPDX-License-Identifier: BSD-2-Clause */
/* exports.c: see exports.h. */
#include "config.h"

#include "control/metrics/exports.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/usage.h"
#include "catalog/roll.h"
#include "control/metrics/series.h"
#include "nbd/protocol.h"

/* An export that is open, copied under the catalog's lock. */
struct row {
  char *name;
  uint64_t size;
  unsigned users;
  struct usage_sum sum;
};

struct rows {
  struct row *row;
  size_t n, room;
  bool lost; /* some, for want of memory */
};

/* --------------------------------------------------------------- collecting */

static struct row *
new_row(struct rows *rows)
{
  if (rows->n == rows->room) {
    const size_t room = rows->room ? 2 * rows->room : 16;
    struct row *row = reallocarray(rows->row, room, sizeof *row);
    if (!row)
      return NULL;
    rows->row = row;
    rows->room = room;
  }
  memset(&rows->row[rows->n], 0, sizeof rows->row[rows->n]);
  return &rows->row[rows->n];
}

static void
note(void *opaque, const struct roll_entry *entry)
{
  struct rows *rows = opaque;

  if (!entry->usages)
    return;
  struct row *row = new_row(rows);
  char *name = row ? strdup(entry->name) : NULL;
  if (!name) {
    rows->lost = true;
    return;
  }
  row->name = name;
  row->size = entry->size;
  row->users = entry->users;
  usage_sum(entry->usages, &row->sum);
  rows->n++;
}

/* The disk that a client's child is of. */
static size_t
group_len(const char *name)
{
  return strcspn(name, "/");
}

static int
compare_groups(const struct row *x, const struct row *y)
{
  const size_t n = group_len(x->name), m = group_len(y->name);
  const int order = memcmp(x->name, y->name, n < m ? n : m);

  return order != 0 ? order : (n > m) - (n < m);
}

/* A disk, and all that is of it, one after the other. */
static int
compare(const void *a, const void *b)
{
  const struct row *x = a, *y = b;
  const int order = compare_groups(x, y);

  return order != 0 ? order : strcmp(x->name, y->name);
}

static void
add(struct usage_sum *sum, const struct usage_sum *more)
{
  sum->read += more->read;
  sum->written += more->written;
  for (unsigned kind = 0; kind < USAGE_KINDS; kind++) {
    for (unsigned i = 0; i < USAGE_BUCKETS; i++)
      sum->took[kind].count[i] += more->took[kind].count[i];
    sum->took[kind].total += more->took[kind].total;
    sum->took[kind].nsec += more->took[kind].nsec;
  }
}

/* A name that was replaced is there several times: its generations are one to
 * those who look. */
static void
join_generations(struct rows *rows)
{
  size_t kept = 0;

  if (rows->n > 0)
    qsort(rows->row, rows->n, sizeof *rows->row, compare);
  for (size_t i = 0; i < rows->n; i++) {
    struct row *last = kept > 0 ? &rows->row[kept - 1] : NULL;
    if (last && strcmp(last->name, rows->row[i].name) == 0) {
      add(&last->sum, &rows->row[i].sum);
      last->users += rows->row[i].users;
      free(rows->row[i].name);
    } else {
      rows->row[kept++] = rows->row[i];
    }
  }
  rows->n = kept;
}

/* ------------------------------------------------------------------ telling */

static uint64_t
users_of(const struct row *row)
{
  return row->users;
}

static uint64_t
size_of(const struct row *row)
{
  return row->size;
}

static uint64_t
read_of(const struct row *row)
{
  return row->sum.read;
}

static uint64_t
written_of(const struct row *row)
{
  return row->sum.written;
}

static uint64_t
requests_of(const struct row *row)
{
  uint64_t n = 0;

  for (unsigned kind = 0; kind < USAGE_KINDS; kind++)
    n += row->sum.took[kind].total;
  return n;
}

/* clang-format off */
static const struct {
  const char *name, *type, *help;
  uint64_t (*value)(const struct row *row);
} of_exports[] = {
  { "vhdkit_export_connections", "gauge",
    "Clients that have the export.", users_of },
  { "vhdkit_export_size_bytes", "gauge",
    "Size of the disk.", size_of },
  { "vhdkit_export_requests_total", "counter",
    "Requests that were answered.", requests_of },
  { "vhdkit_export_read_bytes_total", "counter",
    "Bytes that were read.", read_of },
  { "vhdkit_export_written_bytes_total", "counter",
    "Bytes that were written.", written_of },
};
/* clang-format on */

static void
tell_each(FILE *out, const struct rows *rows)
{
  for (size_t i = 0; i < sizeof of_exports / sizeof *of_exports; i++) {
    series_begin(out, of_exports[i].name, of_exports[i].type,
                 of_exports[i].help);
    for (size_t j = 0; j < rows->n; j++)
      series_labelled(out, of_exports[i].name, "export", rows->row[j].name,
                      of_exports[i].value(&rows->row[j]));
  }
}

#define TIMES "vhdkit_request_duration_seconds"

static void
put_labels(FILE *out, const char *export, const char *command)
{
  fputs("{export=", out);
  series_quote(out, export);
  fprintf(out, ",command=\"%s\"", command);
}

static void
tell_times(FILE *out, const char *export, const char *command, unsigned kind,
           const struct usage_sum *sum)
{
  uint64_t n = 0;

  for (unsigned i = 0; i < USAGE_BUCKETS; i++) {
    n += sum->took[kind].count[i];
    fputs(TIMES "_bucket", out);
    put_labels(out, export, command);
    if (i < USAGE_BUCKETS - 1)
      fprintf(out, ",le=\"%.9f\"} %" PRIu64 "\n", (double)usage_bound(i) / 1e9,
              n);
    else
      fprintf(out, ",le=\"+Inf\"} %" PRIu64 "\n", n);
  }
  fputs(TIMES "_sum", out);
  put_labels(out, export, command);
  fprintf(out, "} %.9f\n", (double)sum->took[kind].nsec / 1e9);
  fputs(TIMES "_count", out);
  put_labels(out, export, command);
  fprintf(out, "} %" PRIu64 "\n", n);
}

/* Kinds that nobody has used are left out. */
static void
tell_group(FILE *out, const char *export, const struct usage_sum *sum)
{
  static const char *const command[USAGE_KINDS] = {
    [NBD_CMD_READ] = "read",
    [NBD_CMD_WRITE] = "write",
    [NBD_CMD_FLUSH] = "flush",
    [NBD_CMD_TRIM] = "trim",
    [NBD_CMD_CACHE] = "cache",
    [NBD_CMD_WRITE_ZEROES] = "write-zeroes",
    [NBD_CMD_BLOCK_STATUS] = "block-status",
  };

  for (unsigned kind = 0; kind < USAGE_KINDS; kind++)
    if (command[kind] && sum->took[kind].total > 0)
      tell_times(out, export, command[kind], kind, sum);
}

/* False: no memory. */
static bool
tell_groups(FILE *out, struct rows *rows)
{
  series_begin(out, TIMES, "histogram",
               "How long requests took, from when they were received until "
               "their answer was put out.");
  for (size_t i = 0, next; i < rows->n; i = next) {
    struct usage_sum sum = { .read = 0 };
    for (next = i; next < rows->n &&
                   compare_groups(&rows->row[next], &rows->row[i]) == 0;
         next++)
      add(&sum, &rows->row[next].sum);
    char *name = strndup(rows->row[i].name, group_len(rows->row[i].name));
    if (!name)
      return false;
    tell_group(out, name, &sum);
    free(name);
  }
  return true;
}

bool
metrics_tell_exports(FILE *out, struct catalog *catalog)
{
  struct rows rows = { .n = 0 };

  catalog_roll(catalog, note, &rows);
  join_generations(&rows);
  tell_each(out, &rows);
  const bool whole = tell_groups(out, &rows) && !rows.lost;
  for (size_t i = 0; i < rows.n; i++)
    free(rows.row[i].name);
  free(rows.row);
  return whole;
}
