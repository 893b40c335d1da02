/* SPDX-License-Identifier: BSD-2-Clause */
/* listing.c: see listing.h. */
#include "config.h"

#include "attach/listing.h"

#include <stdio.h>
#include <stdlib.h>

#include "attach/folder.h"
#include "attach/look.h"
#include "json.h"
#include "table.h"
#include "text.h"

/* clang-format off */
static const struct table_column columns[] = {
  { .name = "IMAGE" }, { .name = "DEVICE" }, { .name = "WITH" },
  { .name = "MODE" }, { .name = "SERVER", .right = true }, { .name = "STATE" },
  { .name = "PART", .right = true }, { .name = "SIZE", .right = true },
  { .name = "TYPE" }, { .name = "LABEL" },
};
/* clang-format on */
#define NCOLUMNS (sizeof columns / sizeof columns[0])

struct listing {
  bool as_json;
  struct json_list json;
  struct table *table;
  struct look look; /* at the one that is printed */
};

/* Of one that is being attached or detached the processes come and go. */
static const char *
look_and_say(struct listing *l, const struct attachment *a, bool busy)
{
  l->look.known = false;
  if (busy)
    return "changing";
  if (!a->complete)
    return "stale";
  if (!process_is_alive(&a->server) ||
      (a->client.pid != 0 && !process_is_alive(&a->client)) ||
      (a->driver.pid != 0 && !process_is_alive(&a->driver)))
    return "dead";
  look_at(a, &l->look);
  return l->look.state == LOOK_LOST     ? "dead"
         : l->look.state == LOOK_SILENT ? "silent"
         : a->folder                    ? "mounted"
                                        : "attached";
}

/* --------------------------------------------------------------------- JSON */

static void
put_process(struct json *object, const char *key, const struct process *p)
{
  if (p->pid != 0)
    json_put_int(object, key, (uint64_t)p->pid);
  else
    json_put_null(object, key);
}

static void
put_text(struct json *object, const char *key, const char *text)
{
  if (*text != '\0')
    json_put_string(object, key, text);
  else
    json_put_null(object, key);
}

static void
put_content(struct json *object, const struct disk_part *part)
{
  put_text(object, "content", part ? part->content : "");
  put_text(object, "label", part ? part->label : "");
  put_text(object, "uuid", part ? part->uuid : "");
}

static struct json *
part_json(const struct disk_part *part)
{
  struct json *object = json_object_new();

  json_put_int(object, "number", part->number);
  json_put_int(object, "start", part->off);
  json_put_int(object, "length", part->len);
  put_text(object, "type", part->type);
  put_text(object, "name", part->name);
  put_content(object, part);
  return object;
}

static struct json *
disk_json(const struct disk *disk)
{
  struct json *object = json_object_new(), *parts = json_array_new();

  put_text(object, "table", disk->table);
  put_content(object, disk_part(disk, 0));
  for (unsigned i = 0; i < disk->n; i++)
    if (disk->part[i].number != 0)
      json_add(parts, part_json(&disk->part[i]));
  json_put(object, "partitions", parts);
  return object;
}

static void
list_json(struct listing *l, const struct entry *entry,
          const struct attachment *a, const char *state)
{
  struct json *object = json_object_new();
  char *socket = entry_path(entry, "socket"), *log = entry_path(entry, "log");

  json_put_string(object, "image", a->image);
  json_put_string(object, "device", a->device);
  json_put_string(object, "with", attach_with_name(a->with));
  json_put_bool(object, "read-only", a->readonly);
  json_put_string(object, "state", state);
  put_process(object, "server-pid", &a->server);
  put_process(object, "client-pid", &a->client);
  put_text(object, "folder", a->folder ? a->folder : "");
  if (a->part != 0)
    json_put_int(object, "partition", a->part);
  else
    json_put_null(object, "partition");
  put_process(object, "driver-pid", &a->driver);
  json_put_string(object, "socket", socket);
  json_put_string(object, "log", log);
  if (l->look.known)
    json_put(object, "disk", disk_json(&l->look.disk));
  else
    json_put_null(object, "disk");
  json_list_item(&l->json, object);
  free(socket);
  free(log);
}

/* -------------------------------------------------------------------- table */

/* What there is to say of a part, into the last four cells. */
static void
list_part(struct listing *l, const char *cells[NCOLUMNS],
          const struct disk_part *part)
{
  char number[16], size[TEXT_SIZE];
  char *type = text_safe(*part->content != '\0' ? part->content : part->type);
  char *label = text_safe(*part->label != '\0' ? part->label : part->name);

  snprintf(number, sizeof number, "%u", part->number);
  cells[6] = part->number != 0 ? number : NULL;
  cells[7] = text_size(part->len, size);
  cells[8] = type;
  cells[9] = label;
  table_row(l->table, cells);
  free(type);
  free(label);
}

/* What is attached stands in the first line only. */
static void
list_table(struct listing *l, const struct attachment *a, const char *state)
{
  char *image = text_safe(a->image);
  char *device = text_safe(a->folder ? a->folder : a->device);
  char pid[24];

  if (!l->table)
    l->table = table_new(columns, NCOLUMNS);
  snprintf(pid, sizeof pid, "%ld", (long)a->server.pid);
  const char *cells[NCOLUMNS] = { image, device, attach_with_name(a->with),
                                  a->readonly ? "ro" : "rw", pid, state };
  if (!l->look.known || l->look.disk.n == 0)
    table_row(l->table, cells);
  if (l->look.known && a->part != 0 && l->look.disk.n > 0)
    l->look.disk.part[0].number = a->part;
  for (unsigned i = 0; l->look.known && i < l->look.disk.n; i++) {
    list_part(l, cells, &l->look.disk.part[i]);
    for (size_t c = 0; c < NCOLUMNS; c++)
      cells[c] = NULL;
  }
  free(image);
  free(device);
}

static void
list_one(void *opaque, const struct entry *entry, const struct attachment *a,
         bool busy)
{
  struct listing *l = opaque;
  const char *state = look_and_say(l, a, busy);

  if (l->as_json)
    list_json(l, entry, a, state);
  else
    list_table(l, a, state);
}

int
listing_print(bool json)
{
  static struct listing l;
  struct folder folder;

  l = (struct listing){ .as_json = json };
  if (folder_open(&folder, false) < 0)
    return -1;
  folder_list(&folder, list_one, &l);
  folder_close(&folder);
  if (json)
    json_list_end(&l.json);
  else if (l.table)
    table_free(l.table);
  return 0;
}
