/* SPDX-License-Identifier: BSD-2-Clause */
/* map.c: vhdkit map.  Prints runs as they come, so that a disk of many takes no
 * memory for them. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "json.h"
#include "message.h"
#include "table.h"
#include "text.h"
#include "verbs.h"

#define RUNS_AT_ONCE 256

static bool as_json;
static uint64_t offset, length;
static bool length_given;

static const struct option_spec options[] = {
  { .name = "json", .kind = OPTION_FLAG, .value = &as_json,
    .help = "print JSON" },
  { .name = "offset", .kind = OPTION_SIZE, .value = &offset,
    .argument = "OFFSET", .help = "begin there (default: 0)" },
  { .name = "length", .kind = OPTION_SIZE, .value = &length,
    .given = &length_given, .argument = "LENGTH",
    .help = "so much (default: to the end of the disk)" },
  { .name = NULL },
};

static const char *const kinds[] = {
  [VHD_RUN_DATA] = "data",
  [VHD_RUN_ZERO] = "zero",
  [VHD_RUN_HOLE] = "hole",
};

/* Where runs go: one of table and list. */
struct output {
  struct vhd_image *image;
  struct table *table;
  struct json_list list;
  /* Of the last image that was asked for: runs of one mostly come together. */
  const char *path;
  unsigned depth;
};

static const char *
path_at(struct output *out, unsigned depth)
{
  struct vhd_image *holder = image_ancestor(out->image, depth);
  struct vhd_info info;

  if (holder == NULL)
    return "";
  if (out->path == NULL || out->depth != depth) {
    vhd_get_info(holder, &info);
    out->path = info.path;
    out->depth = depth;
  }
  return out->path;
}

/* Is it in the file?  Else it is what only the log of a VHDX makes of that. */
static bool
has_place(const struct vhd_run *run)
{
  return run->kind == VHD_RUN_DATA && run->fd >= 0;
}

static void
print_json(struct output *out, uint64_t at, const struct vhd_run *run)
{
  struct json *item = json_object_new();

  json_put_int(item, "start", at);
  json_put_int(item, "length", run->len);
  json_put_int(item, "depth", run->depth);
  json_put_bool(item, "present", run->kind != VHD_RUN_HOLE);
  json_put_bool(item, "zero", run->kind != VHD_RUN_DATA);
  json_put_bool(item, "data", run->kind == VHD_RUN_DATA);
  if (has_place(run))
    json_put_int(item, "offset", run->file_off);
  if (run->kind == VHD_RUN_DATA)
    json_put_string(item, "filename", path_at(out, run->depth));
  json_list_item(&out->list, item);
}

static void
print_row(struct output *out, uint64_t at, const struct vhd_run *run)
{
  char start[24], len[24], depth[12], place[24] = "";
  char *path = NULL;

  snprintf(start, sizeof start, "%" PRIu64, at);
  snprintf(len, sizeof len, "%" PRIu64, run->len);
  snprintf(depth, sizeof depth, "%u", run->depth);
  if (run->kind == VHD_RUN_DATA) {
    if (has_place(run))
      snprintf(place, sizeof place, "%" PRIu64, run->file_off);
    path = text_safe(path_at(out, run->depth));
  }
  const char *const cells[] = { start, len, kinds[run->kind], depth, place,
                                path };
  table_row(out->table, cells);
  free(path);
}

static void
print_run(struct output *out, uint64_t at, const struct vhd_run *run)
{
  if (run->len == 0)
    return;
  if (out->table != NULL)
    print_row(out, at, run);
  else
    print_json(out, at, run);
}

static bool
continues(const struct vhd_run *a, const struct vhd_run *b)
{
  return a->len != 0 && a->kind == b->kind && a->depth == b->depth &&
         (a->kind != VHD_RUN_DATA || (a->file == b->file &&
                                      a->file_off + a->len == b->file_off));
}

/* Prints the runs of [at, end), joined where two calls cut them. */
static int
print_runs(struct output *out, uint64_t at, uint64_t end)
{
  struct vhd_run runs[RUNS_AT_ONCE], last = { 0 };
  uint64_t last_at = at;

  while (at < end) {
    unsigned n = RUNS_AT_ONCE;
    int r = vhd_map(out->image, end - at, at, runs, &n);
    if (r < 0)
      return r;
    for (unsigned i = 0; i < n; i++) {
      if (continues(&last, &runs[i])) {
        last.len += runs[i].len;
      } else {
        print_run(out, last_at, &last);
        last = runs[i];
        last_at = at;
      }
      at += runs[i].len;
    }
  }
  print_run(out, last_at, &last);
  return 0;
}

static int
print_map(struct vhd_image *image)
{
  static const struct table_column columns[] = {
    { "START", true }, { "LENGTH", true }, { "KIND", false },
    { "DEPTH", true }, { "OFFSET", true }, { "FILE", false },
  };
  struct output out = { .image = image };
  uint64_t size = vhd_size(image);

  if (offset > size || (length_given && length > size - offset))
    return complain_usage("the range does not lie in the disk, which has %"
                          PRIu64 " bytes", size);
  if (!as_json)
    out.table = table_new(columns, sizeof columns / sizeof columns[0]);
  int r = print_runs(&out, offset, length_given ? offset + length : size);
  if (as_json)
    json_list_end(&out.list);
  else
    table_free(out.table);
  if (r < 0) {
    complain_sys(-r, "cannot read the metadata");
    return EXIT_FAILED;
  }
  return EXIT_DONE;
}

static int
run(char **args)
{
  struct vhd_image *image = image_open(args[0], VHD_OPEN_READONLY);

  if (image == NULL)
    return EXIT_FAILED;
  image_warn(image);
  int status = print_map(image);
  if (image_close(image) < 0)
    status = EXIT_FAILED;
  return status;
}

const struct verb map_verb = {
  .name = "map",
  .summary = "list where the ranges of a disk lie: which image, which place",
  .arguments = "IMAGE",
  .min_args = 1,
  .max_args = 1,
  .options = { options, root_options, open_options, look_options },
  .about = "Kinds: data lies at OFFSET of FILE; zero is what the image at that "
           "depth says;\nhole is in no image of the chain.  Both read as "
           "zeros.",
  .run = run,
};
