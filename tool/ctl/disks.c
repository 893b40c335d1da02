/* SPDX-License-Identifier: BSD-2-Clause */
/* disks.c: vhdkitctl's verbs that show disks, their versions and their clients'
 * children. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ctl/ctl.h"
#include "ctl/link.h"
#include "message.h"
#include "table.h"
#include "text.h"

#define MAX_COLUMNS 8

/* One of a table, and the member that it shows. */
struct shown {
  struct table_column column;
  const char *key;
  enum { AS_TEXT, AS_NUMBER, AS_SIZE, AS_TIME, AS_SOUND } as;
};

/* malloc()ed; "" for what is null. */
static char *
cell(const struct json *value, const struct shown *shown)
{
  char buf[TEXT_SIZE] = "";
  time_t when = (time_t)json_int(value);
  struct tm tm;

  if (shown->as == AS_TEXT)
    return text_safe(json_text(value) ? json_text(value) : "");
  if (shown->as == AS_SOUND)
    return text_safe(json_yes(value) ? "" : "cannot be used");
  if (json_has_int(value)) {
    if (shown->as == AS_SIZE)
      text_size(json_int(value), buf);
    else if (shown->as == AS_NUMBER)
      snprintf(buf, sizeof buf, "%" PRIu64, json_int(value));
    else if (localtime_r(&when, &tm))
      strftime(buf, sizeof buf, "%F %H:%M", &tm);
  }
  return text_safe(buf);
}

static void
add_row(struct table *table, const struct json *line,
        const struct shown *shown, size_t n)
{
  char *cells[MAX_COLUMNS];
  const char *texts[MAX_COLUMNS];

  for (size_t i = 0; i < n; i++)
    texts[i] = cells[i] = cell(json_get(line, shown[i].key), &shown[i]);
  table_row(table, texts);
  for (size_t i = 0; i < n; i++)
    free(cells[i]);
}

static void
print(const struct json *list, const struct shown *shown, size_t n,
      const char *none)
{
  struct table_column columns[MAX_COLUMNS];

  if (json_count(list) == 0) {
    puts(none);
    return;
  }
  for (size_t i = 0; i < n; i++)
    columns[i] = shown[i].column;
  struct table *table = table_new(columns, n);
  for (size_t i = 0; i < json_count(list); i++)
    add_row(table, json_item(list, i), shown, n);
  table_free(table);
}

static struct json *
request_of(char **args)
{
  struct json *request = args[0] ? json_object_new() : NULL;

  if (request)
    json_put_string(request, "disk", args[0]);
  return request;
}

/* Asks, and prints the member `list` as a table. */
static int
run(const char *verb, char **args, const char *list, const struct shown *shown,
    size_t n, const char *none)
{
  struct json *result = link_ask_once(verb, request_of(args));
  int status;

  if (link_told(result, &status))
    return status;
  print(json_get(result, list), shown, n, none);
  json_free(result);
  return status;
}

/* -------------------------------------------------------------------- verbs */

static int
run_disks(char **args)
{
  static const struct shown shown[] = {
    { { "DISK", false }, "disk", AS_TEXT },
    { { "VERSIONS", true }, "versions", AS_NUMBER },
    { { "PRODUCTION", true }, "production", AS_NUMBER },
    { { "TEST", true }, "test", AS_NUMBER },
    { { "MAINTENANCE", true }, "maintenance", AS_NUMBER },
    { { "SCHEDULED", true }, "scheduled", AS_NUMBER },
    { { "AT", false }, "when", AS_TIME },
    { { "NOTE", false }, "text", AS_TEXT },
  };

  return run("disks", args, "disks", shown, sizeof shown / sizeof *shown,
             "there are no disks");
}

const struct verb ctl_disks = {
  .name = "disks",
  .summary = "list disks, and what their clients get",
  .arguments = "",
  .options = { link_options },
  .run = run_disks,
};

static int
run_versions(char **args)
{
  static const struct shown shown[] = {
    { { "VERSION", true }, "version", AS_NUMBER },
    { { "ROLE", false }, "role", AS_TEXT },
    { { "OF", true }, "parent", AS_NUMBER },
    { { "SIZE", true }, "size", AS_SIZE },
    { { "ON DISK", true }, "actual-size", AS_SIZE },
    { { "CHANGED", false }, "changed", AS_TIME },
    { { "", false }, "sound", AS_SOUND },
    { { "TEXT", false }, "text", AS_TEXT },
  };

  return run("versions", args, "versions", shown,
             sizeof shown / sizeof *shown, "it has no version");
}

const struct verb ctl_versions = {
  .name = "versions",
  .summary = "list the versions of a disk",
  .arguments = "DISK",
  .min_args = 1,
  .max_args = 1,
  .options = { link_options },
  .run = run_versions,
};

static int
run_children(char **args)
{
  static const struct shown shown[] = {
    { { "CLIENT", false }, "client", AS_TEXT },
    { { "VERSION", true }, "version", AS_NUMBER },
    { { "ON DISK", true }, "actual-size", AS_SIZE },
    { { "WRITTEN TO", false }, "used", AS_TIME },
    { { "", false }, "sound", AS_SOUND },
  };

  return run("children", args, "children", shown,
             sizeof shown / sizeof *shown, "no client has a child of it");
}

const struct verb ctl_children = {
  .name = "children",
  .summary = "list the images that clients have of a disk",
  .arguments = "DISK",
  .min_args = 1,
  .max_args = 1,
  .options = { link_options },
  .run = run_children,
};
