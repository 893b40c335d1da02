/* SPDX-License-Identifier: BSD-2-Clause */
/* info.c: vhdkit info.  What an image says of itself, and its chain.  An image
 * whose parents are missing is shown all the same, with a warning. */
#include "config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "json.h"
#include "message.h"
#include "rescue.h"
#include "text.h"
#include "verbs.h"

static bool as_json, chain, force;

static const struct option_spec options[] = {
  { .name = "chain", .kind = OPTION_FLAG, .value = &chain,
    .help = "show its parents too; fail if they cannot all be opened" },
  { .name = "force", .kind = OPTION_FLAG, .value = &force,
    .help = "show what there is of an image that need not be sound: what of it "
            "is good, bad, missing or guessed" },
  { .name = "json", .kind = OPTION_FLAG, .value = &as_json,
    .help = "print JSON (with --chain: an array, the image itself first)" },
  { .name = NULL },
};

/* One image to show. */
struct subject {
  struct vhd_image *image;
  struct vhd_info info;
  const char *chain_error; /* why its parents are not open; or NULL */
};

static const char *
type_name(enum vhd_type type)
{
  switch (type) {
  case VHD_FIXED:
    return "fixed";
  case VHD_DYNAMIC:
    return "dynamic";
  case VHD_DIFFERENCING:
    return "differencing";
  case VHD_RAW:
    return "raw";
  }
  return "unknown";
}

/* As qemu calls it. */
static const char *
format_name(const struct vhd_info *info)
{
  if (info->type == VHD_RAW)
    return "raw";
  return info->format == VHD_FORMAT_VHDX ? "vhdx" : "vpc";
}

static bool
is_vhdx(const struct subject *s)
{
  return s->info.format == VHD_FORMAT_VHDX;
}

static const char *
id_order(bool little_endian)
{
  return little_endian ? "Windows" : "RFC 4122";
}

static bool
has_parents(const struct subject *s)
{
  return s->info.type == VHD_DIFFERENCING;
}

static const char *
parent_path(const struct subject *s)
{
  struct vhd_info info;
  struct vhd_image *parent = vhd_parent(s->image);

  if (parent == NULL)
    return NULL;
  vhd_get_info(parent, &info);
  return info.path;
}

/* --------------------------------------------------------------- for people */

static void line(const char *label, const char *fmt, ...)
  __attribute__((format(printf, 2, 3)));

static void
line(const char *label, const char *fmt, ...)
{
  char text[8192];
  va_list ap;

  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  text_sanitize(text);
  printf("%-16s%s\n", label, text);
}

static void
show_size(const char *label, uint64_t size, const char *more)
{
  char buf[TEXT_SIZE];

  line(label, "%s (%" PRIu64 " bytes)%s", text_size(size, buf), size, more);
}

static void
show_blocks(const struct vhd_info *info)
{
  char buf[TEXT_SIZE];

  line("blocks", "%" PRIu32 " of %" PRIu32 " in use, of %s, %s",
       info->nblk_allocated, info->nblk, text_size(info->block_size, buf),
       info->aligned ? "aligned to 4 KiB" : "not aligned");
}

static void
show_locators(struct vhd_image *image)
{
  struct vhd_locator loc;

  for (unsigned i = 0; i < VHD_MAX_LOCATORS; i++)
    if (vhd_get_locator(image, i, &loc) == 0)
      line("locator", "%s at %" PRIu64 ", %" PRIu32 " of %" PRIu32
           " bytes: %s", loc.code, loc.off, loc.len, loc.space,
           loc.path[0] != '\0' ? loc.path : "(not understood)");
}

static void
show_parent(const struct subject *s)
{
  const struct vhd_info *info = &s->info;
  char buf[TEXT_SIZE];

  line("parent", "%s", parent_path(s) != NULL ? parent_path(s) : "not opened");
  line("parent name", "%s", info->parent_name);
  line("parent id", "%s", info->parent_id_text);
  if (!is_vhdx(s))
    line("parent time", "%s", info->parent_timestamp != 0
                                ? text_time(info->parent_timestamp, buf)
                                : "not recorded");
  show_locators(s->image);
  if (s->chain_error == NULL)
    line("depth", "%u", info->depth);
}

static void
show_geometry(const struct vhd_info *info)
{
  line("geometry", "%" PRIu32 " cylinders, %" PRIu32 " heads, %" PRIu32
       " sectors: %" PRIu64 " bytes", info->cylinders, info->heads,
       info->sectors_per_track, info->geometry_size);
}

/* What only a VHD says. */
static void
show_origin(const struct vhd_info *info)
{
  char buf[TEXT_SIZE];

  line("creator", "\"%s\" %u.%u on \"%s\"", info->creator,
       info->creator_version >> 16, info->creator_version & 0xffff,
       info->creator_os);
  line("created", "%s", text_time(info->timestamp, buf));
  line("id", "%s (%s order)", info->id_text, id_order(info->id_little_endian));
}

/* What only a VHDX says. */
static void
show_vhdx(const struct vhd_info *info)
{
  if (info->physical_sector_size != 0)
    line("sectors", "%" PRIu32 " bytes, physical %" PRIu32, info->sector_size,
         info->physical_sector_size);
  else
    line("sectors", "%" PRIu32 " bytes", info->sector_size);
  line("id", "%s (of the content)", info->id_text);
  line("disk id", "%s", info->disk_id_text);
}

static void
show(const struct subject *s)
{
  const struct vhd_info *info = &s->info;
  const char *text;

  line("image", "%s", info->path);
  if (is_vhdx(s))
    line("format", "VHDX");
  line("type", "%s", type_name(info->type));
  show_size("size", info->size, "");
  if (info->original_size != info->size)
    show_size("original size", info->original_size, "");
  show_size("file size", info->file_size, "");
  show_size("takes", info->actual_size, "");
  if (info->minimum_size != 0)
    show_size("minimum size", info->minimum_size, "");
  if (!is_vhdx(s))
    show_geometry(info);
  if (info->block_size != 0)
    show_blocks(info);
  if (is_vhdx(s))
    show_vhdx(info);
  else
    show_origin(info);
  if (has_parents(s))
    show_parent(s);
  if (info->batmap)
    line("batmap", "yes");
  if (info->saved_state)
    line("saved state", "yes");
  for (unsigned i = 0; (text = vhd_warning(s->image, i)) != NULL; i++)
    line("warning", "%s", text);
  if (s->chain_error != NULL)
    line("warning", "%s", s->chain_error);
}

/* ------------------------------------------------------------- for programs */

static struct json *
json_locators(struct vhd_image *image)
{
  struct json *array = json_array_new();
  struct vhd_locator loc;

  for (unsigned i = 0; i < VHD_MAX_LOCATORS; i++) {
    if (vhd_get_locator(image, i, &loc) < 0)
      continue;
    struct json *item = json_object_new();
    json_put_string(item, "code", loc.code);
    json_put_int(item, "offset", loc.off);
    json_put_int(item, "length", loc.len);
    json_put_int(item, "space", loc.space);
    if (loc.path[0] != '\0') {
      json_put_string(item, "path", loc.path);
      json_put_bool(item, "relative", loc.relative);
    } else {
      json_put_null(item, "path");
    }
    json_add(array, item);
  }
  return array;
}

static void
put_parent(struct json *top, const struct subject *s)
{
  const struct vhd_info *info = &s->info;
  char buf[TEXT_SIZE];

  json_put_string(top, "backing-filename", info->parent_name);
  if (parent_path(s) != NULL)
    json_put_string(top, "full-backing-filename", parent_path(s));
  json_put_string(top, "parent-id", info->parent_id_text);
  if (info->parent_timestamp != 0)
    json_put_string(top, "parent-time",
                    text_iso_time(info->parent_timestamp, buf));
  else
    json_put_null(top, "parent-time");
  json_put(top, "locators", json_locators(s->image));
  if (s->chain_error == NULL)
    json_put_int(top, "depth", info->depth);
  else
    json_put_null(top, "depth");
}

static struct json *
json_geometry(const struct vhd_info *info)
{
  struct json *geometry = json_object_new();

  json_put_int(geometry, "cylinders", info->cylinders);
  json_put_int(geometry, "heads", info->heads);
  json_put_int(geometry, "sectors", info->sectors_per_track);
  json_put_int(geometry, "size", info->geometry_size);
  return geometry;
}

static struct json *
json_creator(const struct vhd_info *info)
{
  struct json *creator = json_object_new();
  char version[24];

  snprintf(version, sizeof version, "%u.%u", info->creator_version >> 16,
           info->creator_version & 0xffff);
  json_put_string(creator, "application", info->creator);
  json_put_string(creator, "version", version);
  json_put_string(creator, "os", info->creator_os);
  return creator;
}

static struct json *
json_blocks(const struct vhd_info *info)
{
  struct json *blocks = json_object_new();

  json_put_int(blocks, "size", info->block_size);
  json_put_int(blocks, "count", info->nblk);
  json_put_int(blocks, "allocated", info->nblk_allocated);
  json_put_int(blocks, "table-entries", info->bat_entries);
  json_put_bool(blocks, "aligned", info->aligned);
  return blocks;
}

/* What qemu-img tells too has its names there. */
static void
put_sizes(struct json *top, const struct vhd_info *info)
{
  json_put_string(top, "filename", info->path);
  json_put_string(top, "format", format_name(info));
  json_put_string(top, "type", type_name(info->type));
  json_put_int(top, "virtual-size", info->size);
  json_put_int(top, "actual-size", info->actual_size);
  json_put_int(top, "file-size", info->file_size);
  json_put_int(top, "original-size", info->original_size);
  if (info->minimum_size != 0)
    json_put_int(top, "minimum-size", info->minimum_size);
  else
    json_put_null(top, "minimum-size");
  if (info->block_size != 0)
    json_put_int(top, "cluster-size", info->block_size);
}

/* What only a VHDX says. */
static void
put_vhdx(struct json *top, const struct vhd_info *info)
{
  json_put_int(top, "sector-size", info->sector_size);
  if (info->physical_sector_size != 0)
    json_put_int(top, "physical-sector-size", info->physical_sector_size);
  json_put_string(top, "id", info->id_text);
  json_put_string(top, "disk-id", info->disk_id_text);
}

static void
put_vhd(struct json *top, const struct vhd_info *info)
{
  char buf[TEXT_SIZE];

  json_put(top, "creator", json_creator(info));
  json_put_string(top, "created", text_iso_time(info->timestamp, buf));
  json_put_string(top, "id", info->id_text);
  json_put_string(top, "id-order", info->id_little_endian ? "windows" : "rfc");
  json_put_bool(top, "saved-state", info->saved_state);
  json_put_bool(top, "batmap", info->batmap);
}

static struct json *
json_subject(const struct subject *s)
{
  const struct vhd_info *info = &s->info;
  struct json *top = json_object_new();
  struct json *warnings = json_array_new();
  const char *text;

  put_sizes(top, info);
  if (!is_vhdx(s))
    json_put(top, "geometry", json_geometry(info));
  if (info->block_size != 0)
    json_put(top, "blocks", json_blocks(info));
  if (is_vhdx(s))
    put_vhdx(top, info);
  else
    put_vhd(top, info);
  if (has_parents(s))
    put_parent(top, s);
  for (unsigned i = 0; (text = vhd_warning(s->image, i)) != NULL; i++)
    json_add_string(warnings, text);
  if (s->chain_error != NULL)
    json_add_string(warnings, s->chain_error);
  json_put(top, "warnings", warnings);
  return top;
}

/* --------------------------------------------------------------------- verb */

static void
show_all(struct vhd_image *image, const char *chain_error)
{
  struct json_list list = { 0 };

  while (image != NULL) {
    struct subject s = { .image = image, .chain_error = chain_error };
    vhd_get_info(image, &s.info);
    if (as_json && chain)
      json_list_item(&list, json_subject(&s));
    else if (as_json)
      json_print(json_subject(&s));
    else
      show(&s);
    image = chain ? vhd_parent(image) : NULL;
    if (!as_json && image != NULL)
      putchar('\n');
  }
  if (as_json && chain)
    json_list_end(&list);
}

static int
run(char **args)
{
  struct vhd_open_options opt = image_open_options(VHD_OPEN_READONLY);
  struct vhd_error chain_err = { 0 }, err = { 0 };
  struct vhd_image *image;
  const char *chain_error = NULL;

  if (force && chain)
    return complain_usage("--force shows one file, and --chain its parents");
  if (force)
    return rescue_show(args[0], as_json, type_name);
  if (vhd_open(args[0], &opt, &image, &chain_err) < 0) {
    opt.flags |= VHD_OPEN_NO_PARENT;
    if (vhd_open(args[0], &opt, &image, &err) < 0) {
      image_complain(&err, true);
      return EXIT_FAILED;
    }
    chain_error = chain_err.message;
  }
  show_all(image, chain_error);
  if (image_close(image) < 0)
    return EXIT_FAILED;
  if (chain && chain_error != NULL) {
    image_complain(&chain_err, true);
    return EXIT_FAILED;
  }
  return EXIT_DONE;
}

const struct verb info_verb = {
  .name = "info",
  .summary = "show what an image says of itself, and its chain",
  .arguments = "IMAGE",
  .min_args = 1,
  .max_args = 1,
  .options = { options, root_options, open_options, look_options },
  .run = run,
};
