/* SPDX-License-Identifier: BSD-2-Clause */
/* rescue.c: vhdkit rescue, what can be read of a damaged image in a new file,
 * with a map of what is doubtful and what is lost; and for vhdkit info --force
 * what there is of such an image. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats.h"
#include "image.h"
#include "interrupt.h"
#include "json.h"
#include "message.h"
#include "progress.h"
#include "rescue.h"
#include "text.h"
#include "verbs.h"


static int format = FORMAT_VHD, subformat;
static uint64_t block_size;
static bool block_size_given, full, proven, overwrite, as_json;
static const char *map_path;

static const struct option_choice subformats[] = {
  { "fixed", VHD_FIXED },
  { "dynamic", VHD_DYNAMIC },
  { NULL, 0 },
};

static const struct option_spec options[] = {
  { .name = "map", .kind = OPTION_STRING, .value = &map_path,
    .argument = "FILE",
    .help = "write down, as ddrescue does, what of OUT is good (+), doubtful "
            "(/) and lost (-)" },
  { .name = "proven", .kind = OPTION_FLAG, .value = &proven,
    .help = "zeros in the place of what is doubtful" },
  { .name = "format", .kind = OPTION_CHOICE, .value = &format,
    .choices = formats, .argument = "FORMAT",
    .help = "of OUT: vhd (default) or raw" },
  { .name = "subformat", .kind = OPTION_CHOICE, .value = &subformat,
    .choices = subformats, .argument = "TYPE",
    .help = "of a VHD: dynamic (default) or fixed" },
  { .name = "block-size", .kind = OPTION_SIZE, .value = &block_size,
    .given = &block_size_given, .argument = "SIZE",
    .help = "of a dynamic OUT: a power of two from 4K to 256M "
            "(default: 2M)" },
  { .name = "full", .kind = OPTION_FLAG, .value = &full,
    .help = "set aside all space: the file gets no holes" },
  { .name = "overwrite", .kind = OPTION_FLAG, .value = &overwrite,
    .help = "replace OUT, and the map, if they are there and not in use" },
  { .name = "json", .kind = OPTION_FLAG, .value = &as_json,
    .help = "print JSON" },
  { .name = NULL },
};

/* ------------------------------------------------------------------ faults */

/* opaque: the JSON array, or NULL. */
static void
tell_fault(struct json *array, const struct vhd_finding *finding)
{
  if (array != NULL) {
    struct json *item = json_object_new();
    json_put_string(item, "code", vhd_code_name(finding->code));
    json_put_string(item, "message", finding->message);
    json_add(array, item);
    return;
  }
  progress_clear();
  char *message = text_safe(finding->message);
  printf("%-16s%s\n", "fault", message);
  free(message);
}

/* --------------------------------------------------------------------- map */

struct work {
  struct json *faults; /* or NULL */
  struct vhd_output *output;
  FILE *map;           /* or NULL */
};

/* Whatever else is there was named by mistake, and may be the image. */
static bool
is_map(const char *path)
{
  static const char begin[] = "# Mapfile.";
  char text[sizeof begin] = "";
  FILE *file = fopen(path, "re");

  if (file == NULL)
    return errno == ENOENT;
  const bool empty = fgets(text, sizeof text, file) == NULL && !ferror(file);
  fclose(file);
  return empty || strcmp(text, begin) == 0;
}

static int
begin_map(struct work *w)
{
  struct vhd_error err = { 0 };

  if (map_path == NULL)
    return 0;
  if (overwrite && !is_map(map_path)) {
    complain_as(EXIT_REFUSED, "%s: is no mapfile, and is not replaced by one",
                map_path);
    return -1;
  }
  if (vhd_output_open(map_path, overwrite ? VHD_CREATE_OVERWRITE : 0,
                      &w->output, &err) < 0) {
    image_complain_new(&err, overwrite);
    return -1;
  }
  const int fd = dup(vhd_output_fd(w->output));
  w->map = fd < 0 ? NULL : fdopen(fd, "w");
  if (w->map == NULL) {
    complain_sys(errno, "%s", map_path);
    if (fd >= 0)
      close(fd);
    return -1;
  }
  fprintf(w->map, "# Mapfile. Created by vhdkit rescue %s\n"
          "# + good, / doubtful, - lost\n"
          "# current_pos  current_status  current_pass\n"
          "0x00000000     +               1\n"
          "#      pos        size  status\n", vhd_version());
  return 0;
}

static int
map_stretch(void *opaque, uint64_t off, uint64_t len, enum vhd_rescued state)
{
  static const char marks[] = { [VHD_RESCUED_GOOD] = '+',
                                [VHD_RESCUED_DOUBTFUL] = '/',
                                [VHD_RESCUED_LOST] = '-' };
  struct work *w = opaque;

  if (w->map == NULL)
    return 0;
  return fprintf(w->map, "0x%08" PRIX64 "  0x%08" PRIX64 "  %c\n", off, len,
                 marks[state]) < 0 ? -EIO : 0;
}

/* After OUT is there: one that tells of none would mislead. */
static int
end_map(struct work *w)
{
  struct vhd_error err = { 0 };

  if (w->map == NULL)
    return 0;
  const bool failed = ferror(w->map);
  if ((fclose(w->map) != 0) | failed) {
    w->map = NULL;
    complain_sys(errno, "%s: cannot be written", map_path);
    return -1;
  }
  w->map = NULL;
  if (vhd_output_commit(w->output, &err) < 0) {
    image_complain_new(&err, overwrite);
    return -1;
  }
  return 0;
}

static void
drop_map(struct work *w)
{
  if (w->map != NULL)
    fclose(w->map);
  vhd_output_close(w->output);
}

/* --------------------------------------------------------------------- verb */

static void
found(void *opaque, const struct vhd_finding *finding)
{
  tell_fault(((struct work *)opaque)->faults, finding);
}

static void
print_result(const struct vhd_rescue_result *result, struct json *faults)
{
  if (as_json) {
    struct json *top = json_object_new();
    json_put_int(top, "virtual-size", result->size);
    json_put_int(top, "good", result->good);
    json_put_int(top, "doubtful", result->doubtful);
    json_put_int(top, "lost", result->lost);
    json_put(top, "faults", faults);
    json_print(top);
    return;
  }
  text_print_size("size", result->size);
  text_print_size("good", result->good);
  text_print_size("doubtful", result->doubtful);
  text_print_size("lost", result->lost);
}

static int
rescue(char **args, struct work *w)
{
  const struct vhd_rescue_options opt = {
    .open = image_open_options(0),
    .type = format == FORMAT_RAW ? VHD_RAW : (enum vhd_type)subformat,
    .block_size = (uint32_t)block_size,
    .flags = (full ? VHD_RESCUE_FULL : 0) |
             (overwrite ? VHD_RESCUE_OVERWRITE : 0) |
             (proven ? VHD_RESCUE_PROVEN : 0),
    .found = found,
    .state = map_stretch,
    .opaque = w,
    .progress = progress_of("rescued"),
  };
  struct vhd_rescue_result result;
  struct vhd_error err = { 0 };

  const int r = vhd_rescue(args[0], args[1], &opt, &result, &err);
  progress_end();
  if (r < 0) {
    image_complain_new(&err, overwrite);
    interrupt_obey();
    return EXIT_FAILED;
  }
  if (end_map(w) < 0)
    return EXIT_FAILED;
  print_result(&result, w->faults);
  w->faults = NULL;
  return result.good == result.size ? EXIT_DONE : EXIT_DAMAGED;
}

static int
run(char **args)
{
  struct work w = { 0 };
  int status = EXIT_FAILED;

  if (format == FORMAT_RAW && subformat != 0) {
    complain_usage("--subformat goes with --format vhd");
  } else if (block_size_given && (block_size == 0 || block_size > UINT32_MAX)) {
    complain_usage("--block-size must be a power of two from 4K to 256M");
  } else if (begin_map(&w) == 0) {
    w.faults = as_json ? json_array_new() : NULL;
    status = rescue(args, &w);
  }
  json_free(w.faults);
  drop_map(&w);
  return status;
}

const struct verb rescue_verb = {
  .name = "rescue",
  .summary = "make a new image of what can be read of a damaged one",
  .arguments = "IMAGE OUT",
  .min_args = 2,
  .max_args = 2,
  .options = { options, root_options, look_options, progress_options },
  .about = "IMAGE is only read.  Exit status: 0 all of the disk is proven to "
           "be in OUT, 1 OUT\ncould not be made, 2 something is doubtful or "
           "lost; --map says what.",
  .run = run,
};

/* ------------------------------------------------------------- info --force */

static const char *
part_name(enum vhd_part part)
{
  static const char *const names[] = {
    [VHD_PART_MISSING] = "missing",
    [VHD_PART_BAD] = "bad",
    [VHD_PART_GOOD] = "good",
    [VHD_PART_GUESSED] = "guessed",
  };

  return names[part];
}

static void
print_remains_json(const char *path, const struct vhd_remains *m,
                   const char *type, struct json *faults)
{
  struct json *top = json_object_new();

  json_put_string(top, "filename", path);
  json_put_string(top, "type", type);
  json_put_int(top, "virtual-size", m->size);
  json_put_bool(top, "size-guessed", m->size_guessed);
  json_put_int(top, "file-size", m->file_size);
  json_put_bool(top, "sure", m->sure);
  json_put_string(top, "end-footer", part_name(m->end_footer));
  if (m->type != VHD_FIXED) {
    struct json *blocks = json_object_new();
    json_put_string(top, "start-footer", part_name(m->start_footer));
    json_put_string(top, "header", part_name(m->header));
    json_put_string(top, "table", part_name(m->table));
    json_put_int(blocks, "size", m->block_size);
    json_put_int(blocks, "count", m->nblk);
    json_put_int(blocks, "placed", m->nblk_placed);
    json_put_int(blocks, "unused", m->nblk_unused);
    json_put_int(blocks, "shared", m->nblk_shared);
    json_put_int(blocks, "found", m->nblk_found);
    json_put_int(blocks, "lost", m->nblk_lost);
    json_put_int(blocks, "stray", m->nstray);
    json_put(top, "blocks", blocks);
  }
  json_put(top, "faults", faults);
  json_print(top);
}

static void
print_remains(const char *path, const struct vhd_remains *m, const char *type)
{
  char *safe = text_safe(path);

  printf("%-16s%s\n", "image", safe);
  free(safe);
  printf("%-16s%s\n", "type", type);
  text_print_size(m->size_guessed ? "size, guessed" : "size", m->size);
  text_print_size("file size", m->file_size);
  printf("%-16s%s\n", "end footer", part_name(m->end_footer));
  if (m->type == VHD_FIXED)
    return;
  printf("%-16s%s\n", "start footer", part_name(m->start_footer));
  printf("%-16s%s\n", "header", part_name(m->header));
  printf("%-16s%s, at %" PRIu64 "\n", "table", part_name(m->table),
         m->table_offset);
  printf("%-16s%" PRIu32 " of %" PRIu32 " bytes: %" PRIu32 " placed, %" PRIu32
         " unused, %" PRIu32 " shared, %" PRIu32 " found, %" PRIu32 " lost\n",
         "blocks", m->nblk, m->block_size, m->nblk_placed, m->nblk_unused,
         m->nblk_shared, m->nblk_found, m->nblk_lost);
}

static void
found_remains(void *opaque, const struct vhd_finding *finding)
{
  tell_fault(opaque, finding);
}

int
rescue_show(const char *path, bool json,
            const char *(*type_name)(enum vhd_type))
{
  const struct vhd_check_options opt = { .open = image_open_options(0) };
  struct json *faults = json ? json_array_new() : NULL;
  struct vhd_error err = { 0 };
  struct vhd_remains m;

  if (vhd_examine(path, &opt, found_remains, faults, &m, &err) < 0) {
    json_free(faults);
    image_complain(&err, true);
    return EXIT_FAILED;
  }
  if (json)
    print_remains_json(path, &m, type_name(m.type), faults);
  else
    print_remains(path, &m, type_name(m.type));
  return EXIT_DONE;
}
