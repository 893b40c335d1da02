/* SPDX-License-Identifier: BSD-2-Clause */
/* convert.c: vhdkit convert and vhdkit measure.  Both take what the target is
 * to be from the same options; one makes it, the other says how large it would
 * be. */
#include "config.h"

#include <stdint.h>
#include <stdio.h>

#include "formats.h"
#include "image.h"
#include "interrupt.h"
#include "json.h"
#include "message.h"
#include "progress.h"
#include "remote.h"
#include "text.h"
#include "verbs.h"

static int source_format = FORMAT_VHD, format = FORMAT_VHD, subformat;
static bool source_format_given, format_given;
static uint64_t size, block_size;
static bool size_given, block_size_given;
static bool full, hyperv, azure, overwrite, as_json;

static const struct option_choice subformats[] = {
  { "fixed", VHD_FIXED },
  { "dynamic", VHD_DYNAMIC },
  { NULL, 0 },
};

#define TARGET_OPTIONS                                                     \
  { .name = "source-format", .kind = OPTION_CHOICE,                        \
    .value = &source_format, .choices = formats,                           \
    .given = &source_format_given, .argument = "FORMAT",                   \
    .help = "of SOURCE: vhd (default) or raw; never guessed; an NBD "      \
            "server's disk is raw" },                                      \
  { .name = "format", .kind = OPTION_CHOICE, .value = &format,             \
    .choices = formats, .given = &format_given, .argument = "FORMAT",      \
    .help = "of the target: vhd (default) or raw" },                       \
  { .name = "subformat", .kind = OPTION_CHOICE, .value = &subformat,       \
    .choices = subformats, .argument = "TYPE",                             \
    .help = "of a VHD: dynamic (default) or fixed" },                      \
  { .name = "size", .kind = OPTION_SIZE, .value = &size,                   \
    .given = &size_given, .argument = "SIZE",                              \
    .help = "make the disk so large (default: as large as SOURCE)" },      \
  { .name = "block-size", .kind = OPTION_SIZE, .value = &block_size,       \
    .given = &block_size_given, .argument = "SIZE",                        \
    .help = "of a dynamic target: a power of two from 4K to 256M "         \
            "(default: 2M)" },                                             \
  { .name = "full", .kind = OPTION_FLAG, .value = &full,                   \
    .help = "set aside all space: the file gets no holes" },               \
  { .name = "hyperv", .kind = OPTION_FLAG, .value = &hyperv,               \
    .help = "as Hyper-V wants it: the same as --full" },                   \
  { .name = "azure", .kind = OPTION_FLAG, .value = &azure,                 \
    .help = "as Azure wants it: fixed, the size rounded up to whole MiB, " \
            "20 at least" }

static const struct option_spec convert_options[] = {
  TARGET_OPTIONS,
  { .name = "overwrite", .kind = OPTION_FLAG, .value = &overwrite,
    .help = "replace a TARGET that is there and not in use" },
  { .name = NULL },
};

static const struct option_spec measure_options[] = {
  TARGET_OPTIONS,
  { .name = "json", .kind = OPTION_FLAG, .value = &as_json,
    .help = "print JSON, with qemu-img's keys" },
  { .name = NULL },
};

/* What was asked for; -1 where it makes no sense. */
static int
wish(struct vhd_convert_options *opt)
{
  *opt = (struct vhd_convert_options){
    .open = image_open_options(VHD_OPEN_READONLY | format_flags(source_format)),
    .type = format == FORMAT_RAW ? VHD_RAW : (enum vhd_type)subformat,
    .size = size,
    .block_size = (uint32_t)block_size,
    .flags = (full || hyperv ? VHD_CONVERT_FULL : 0) |
             (azure ? VHD_CONVERT_AZURE : 0) |
             (overwrite ? VHD_CONVERT_OVERWRITE : 0),
  };
  if (format == FORMAT_RAW && subformat != 0)
    complain_usage("--subformat goes with --format vhd");
  else if (size_given && size == 0)
    complain_usage("--size 0: a disk has at least 512 bytes");
  else if (block_size_given && (block_size == 0 || block_size > UINT32_MAX))
    complain_usage("--block-size must be a power of two from 4K to 256M");
  else
    return 0;
  return -1;
}

/* The target is a disk behind a server.  -1 after a complaint. */
static int
aim(const char *uri, struct vhd_convert_options *opt)
{
  if ((format_given && format != FORMAT_RAW) || subformat != 0 || full ||
      hyperv || azure || size_given || block_size_given)
    complain_usage("%s: this disk is there already, and raw: none of --format "
                   "vhd, --subformat, --size, --block-size, --full, --hyperv "
                   "and --azure goes with it", uri);
  else
    opt->disk = remote_target(uri);
  return opt->disk != NULL ? 0 : -1;
}

static int
run_convert(char **args)
{
  struct vhd_convert_options opt;
  struct vhd_error err = { 0 };

  if (wish(&opt) < 0 ||
      remote_source(args[0], source_format_given, &opt.open) < 0 ||
      (remote_is_uri(args[1]) && aim(args[1], &opt) < 0))
    return EXIT_FAILED;
  opt.progress = progress_of("converted");
  const int r = vhd_convert(args[0], args[1], &opt, &err);
  progress_end();
  if (r < 0) {
    if (opt.disk != NULL && err.code == VHD_CANCELED)
      complain("interrupted; %s is partly overwritten", args[1]);
    else
      image_complain_new(&err, overwrite);
    interrupt_obey();
    return EXIT_FAILED;
  }
  return EXIT_DONE;
}

static void
print_json(const struct vhd_measure_result *result)
{
  struct json *top = json_object_new();

  json_put_int(top, "virtual-size", result->size);
  json_put_int(top, "required", result->required);
  json_put_int(top, "fully-allocated", result->fully_allocated);
  json_print(top);
}

static int
run_measure(char **args)
{
  struct vhd_measure_result result;
  struct vhd_convert_options opt;
  struct vhd_error err = { 0 };

  if (wish(&opt) < 0 ||
      remote_source(args[0], source_format_given, &opt.open) < 0)
    return EXIT_FAILED;
  opt.progress = progress_of("measured");
  const int r = vhd_measure(args[0], &opt, &result, &err);
  progress_end();
  if (r < 0) {
    image_complain(&err, true);
    interrupt_obey();
    return EXIT_FAILED;
  }
  if (as_json) {
    print_json(&result);
    return EXIT_DONE;
  }
  text_print_size("size", result.size);
  text_print_size("required", result.required);
  text_print_size("fully allocated", result.fully_allocated);
  return EXIT_DONE;
}

const struct verb convert_verb = {
  .name = "convert",
  .summary = "make an image of another kind with the content of a disk",
  .arguments = "SOURCE TARGET",
  .min_args = 2,
  .max_args = 2,
  .options = { convert_options, root_options, open_options, look_options,
               progress_options },
  .about = "A differencing SOURCE is taken with its parents.  Zeros take no "
           "space in\nTARGET, which is there whole afterwards, or not at all.  "
           "Either may be the\nURI of a disk behind an NBD server, "
           "nbd://HOST or nbd+unix:///?socket=PATH;\na TARGET there is "
           "written to in place.",
  .run = run_convert,
};

const struct verb measure_verb = {
  .name = "measure",
  .summary = "say how large the target of a conversion would be",
  .arguments = "SOURCE",
  .min_args = 1,
  .max_args = 1,
  .options = { measure_options, root_options, open_options, look_options,
               progress_options },
  .about = "Takes the options of convert, and reads metadata alone: zeros that "
           "have space\ncount as data.",
  .run = run_measure,
};
