/* SPDX-License-Identifier: BSD-2-Clause */
/* look.c: the verbs disks, versions and children: what there is. */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "catalog/source/source.h"
#include "config/server_config.h"
#include "control/disks/job.h"
#include "control/disks/verbs.h"
#include "control/say.h"

/* Or null. */
static void
say_version(json_t *object, const char *key, unsigned number)
{
  json_object_set_new(object, key,
                      number ? json_integer((json_int_t)number) : json_null());
}

static void
say_time(json_t *object, const char *key, int64_t when)
{
  json_object_set_new(object, key, json_integer((json_int_t)when));
}

/* What its links say. */
static json_t *
disk_line(const char *disk, const struct disk_folder *folder)
{
  json_t *object = json_object();

  say_string(object, "disk", disk);
  say_version(object, "production", folder->production);
  say_version(object, "test", folder->test);
  say_version(object, "maintenance", folder->maintenance);
  say_version(object, "previous", folder->previous);
  say_version(object, "scheduled", folder->schedule.number);
  if (folder->schedule.number)
    say_time(object, "when", folder->schedule.when);
  return object;
}

/* ---------------------------------------------------------------- one disk */

static const char *
held_word(enum vhd_holders held)
{
  static const char *const words[] = {
    [VHD_HELD_BY_NOBODY] = "nobody",
    [VHD_HELD_READING] = "reading",
    [VHD_HELD_WRITING] = "writing",
  };

  return held <= VHD_HELD_WRITING ? words[held] : NULL;
}

/* What it is for clients; NULL: nothing now. */
static const char *
role_of(const struct disk_folder *folder, unsigned version)
{
  return version == folder->production    ? "production"
         : version == folder->test        ? "test"
         : version == folder->maintenance ? "maintenance"
                                          : NULL;
}

static json_t *
version_line(const struct disk_folder *folder,
             const struct disk_version *version)
{
  json_t *object = json_object();

  say_number(object, "version", version->number);
  say_string(object, "role", role_of(folder, version->number));
  say_version(object, "parent", version->parent);
  say_string(object, "text", version->text);
  say_string(object, "client", version->client[0] ? version->client : NULL);
  say_bool(object, "sealed", version->sealed);
  say_bool(object, "sound", version->sound);
  say_string(object, "held", held_word(version->held));
  say_number(object, "size", version->size);
  say_number(object, "actual-size", version->actual_size);
  say_time(object, "changed", version->changed);
  return object;
}

static int
run_versions(struct disk_job *job)
{
  struct disk_outcome outcome;
  const int r = disk_order_give(job->hands, &job->order, &outcome, &job->err);

  if (r == 0) {
    json_t *list = json_array();
    for (size_t i = 0; i < outcome.folder.n; i++)
      json_array_append_new(list, version_line(&outcome.folder,
                                               &outcome.folder.versions[i]));
    job->result = disk_line(job->order.disk, &outcome.folder);
    json_object_set_new(job->result, "versions", list);
  }
  disk_outcome_clear(&outcome);
  return r;
}

static json_t *
child_line(const struct child *child)
{
  json_t *object = json_object();

  say_string(object, "client", child->client);
  say_version(object, "version", child->version);
  say_number(object, "file-size", child->file_size);
  say_number(object, "actual-size", child->actual_size);
  say_time(object, "used", child->used);
  say_bool(object, "sound", child->sound);
  return object;
}

static int
compare_children(const void *a, const void *b)
{
  const struct child *x = a, *y = b;

  return strcmp(x->client, y->client);
}

static int
run_children(struct disk_job *job)
{
  struct disk_outcome outcome;
  const int r = disk_order_give(job->hands, &job->order, &outcome, &job->err);

  if (r == 0) {
    json_t *list = json_array();
    if (outcome.nchildren > 0)
      qsort(outcome.children, outcome.nchildren, sizeof *outcome.children,
            compare_children);
    for (size_t i = 0; i < outcome.nchildren; i++)
      json_array_append_new(list, child_line(&outcome.children[i]));
    job->result = json_object();
    say_string(job->result, "disk", job->order.disk);
    json_object_set_new(job->result, "children", list);
  }
  disk_outcome_clear(&outcome);
  return r;
}

/* -------------------------------------------------------------- all of them */

/* A disk that cannot be looked at does not hide the others. */
static json_t *
look_at(struct disk_job *job, const char *disk)
{
  struct disk_order order = { .wish = DISK_WISH_STATE, .disk = disk };
  struct disk_outcome outcome;
  struct vhd_error err;
  json_t *object;

  if (disk_order_give(job->hands, &order, &outcome, &err) == 0) {
    object = disk_line(disk, &outcome.folder);
    say_number(object, "versions", outcome.folder.n);
    say_string(object, "text", NULL);
  } else {
    object = json_object();
    say_string(object, "disk", disk);
    say_string(object, "text", err.message);
  }
  disk_outcome_clear(&outcome);
  return object;
}

static int
compare_lines(const void *a, const void *b)
{
  json_t *const *x = a, *const *y = b;

  return strcmp(json_string_value(json_object_get(*x, "disk")),
                json_string_value(json_object_get(*y, "disk")));
}

static json_t *
sorted(json_t **line, size_t n)
{
  json_t *list = json_array();

  if (n > 0)
    qsort(line, n, sizeof *line, compare_lines);
  for (size_t i = 0; i < n; i++)
    json_array_append_new(list, line[i]);
  return list;
}

struct lines {
  struct disk_job *job;
  json_t **line;
  size_t n, room;
};

static int
add_line(void *opaque, const char *disk, const struct origin *origin)
{
  struct lines *lines = opaque;

  (void)origin;
  if (lines->n == lines->room) {
    const size_t room = lines->room ? 2 * lines->room : 16;
    json_t **line = reallocarray(lines->line, room, sizeof *line);
    if (!line)
      return -ENOMEM;
    lines->line = line;
    lines->room = room;
  }
  lines->line[lines->n++] = look_at(lines->job, disk);
  return 0;
}

static int
run_disks(struct disk_job *job)
{
  struct lines lines = { .job = job };
  const int r = disks_source.each(job->config, add_line, &lines);

  job->result = json_object();
  json_object_set_new(job->result, "disks", sorted(lines.line, lines.n));
  free(lines.line);
  return r < 0 ? fail_system(&job->err, -r, "%s", job->config->provision.disks)
               : 0;
}

/* -------------------------------------------------------------------- verbs */

static void
begin_disks(struct question *q)
{
  disk_job_begin(q, DISK_WISH_STATE, run_disks);
}

static void
begin_versions(struct question *q)
{
  disk_job_begin(q, DISK_WISH_STATE, run_versions);
}

static void
begin_children(struct question *q)
{
  disk_job_begin(q, DISK_WISH_CHILDREN, run_children);
}

static const struct request_arg of_disk[] = {
  { "disk", REQUEST_STRING, true },
  { .name = NULL },
};

const struct control_verb disks_verb = {
  .name = "disks",
  .begin = begin_disks,
};

const struct control_verb versions_verb = {
  .name = "versions",
  .args = of_disk,
  .begin = begin_versions,
};

const struct control_verb children_verb = {
  .name = "children",
  .args = of_disk,
  .begin = begin_children,
};
