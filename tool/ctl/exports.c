/* SPDX-License-Identifier: BSD-2-Clause */
/* exports.c: vhdkitctl exports: a table of what is served, and by what. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/link.h"
#include "ctl/ctl.h"
#include "table.h"
#include "text.h"

enum column { NAME, STATE, SIZE, ACCESS, DEPTH, CLIENTS, PATH, TEXT, COLUMNS };

static const struct table_column columns[COLUMNS] = {
  [NAME] = { "EXPORT", false },  [STATE] = { "STATE", false },
  [SIZE] = { "SIZE", true },     [ACCESS] = { "ACCESS", false },
  [DEPTH] = { "DEPTH", true },   [CLIENTS] = { "CLIENTS", true },
  [PATH] = { "IMAGE", false },   [TEXT] = { "NOTE", false },
};

static char *
safe(const struct json *export, const char *key)
{
  const char *text = json_text(json_get(export, key));

  return text_safe(text != NULL ? text : "");
}

static void
add_row(struct table *table, const struct json *e)
{
  const struct json *size = json_get(e, "size");
  char bytes[TEXT_SIZE] = "", depth[TEXT_SIZE] = "", clients[TEXT_SIZE];
  char *name = safe(e, "export"), *state = safe(e, "state");
  char *path = safe(e, "path"), *text = safe(e, "text");

  if (size != NULL) {
    text_size(json_int(size), bytes);
    snprintf(depth, sizeof depth, "%" PRIu64, json_int(json_get(e, "depth")));
  }
  snprintf(clients, sizeof clients, "%" PRIu64,
           json_int(json_get(e, "clients")));
  const char *cells[COLUMNS] = {
    [NAME] = name, [STATE] = state, [SIZE] = bytes,
    [ACCESS] = json_yes(json_get(e, "read-only")) ? "read-only" : "writable",
    [DEPTH] = depth, [CLIENTS] = clients, [PATH] = path, [TEXT] = text,
  };
  table_row(table, cells);
  free(name);
  free(state);
  free(path);
  free(text);
}

static void
print(const struct json *result)
{
  const struct json *list = json_get(result, "exports");
  struct table *table;

  if (json_count(list) == 0) {
    puts("no export is in use");
    return;
  }
  table = table_new(columns, COLUMNS);
  for (size_t i = 0; i < json_count(list); i++)
    add_row(table, json_item(list, i));
  table_free(table);
}

static int
run(char **args)
{
  (void)args;
  return link_tell(link_ask_once("exports", NULL), print);
}

const struct verb ctl_exports = {
  .name = "exports",
  .summary = "list what is served",
  .arguments = "",
  .options = { link_options },
  .run = run,
};
