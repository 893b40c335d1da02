/* SPDX-License-Identifier: BSD-2-Clause */
/* compare.c: vhdkit compare.  Turns what the library finds into a sentence, or
 * JSON, and an exit status as cmp(1) has it. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "formats.h"
#include "image.h"
#include "interrupt.h"
#include "json.h"
#include "progress.h"
#include "remote.h"
#include "verbs.h"

enum {
  COMPARE_SAME = 0,
  COMPARE_DIFFER = 1,
  COMPARE_FAILED = 2, /* for a reason without a number of its own */
};

static int first_format = FORMAT_VHD, second_format = FORMAT_VHD;
static bool first_format_given, second_format_given;
static bool strict, quiet, as_json;

static const struct option_spec options[] = {
  { .name = "first-format", .kind = OPTION_CHOICE, .value = &first_format,
    .choices = formats, .given = &first_format_given, .argument = "FORMAT",
    .help = "of FIRST: vhd (default) or raw; never guessed; an NBD server's "
            "disk is raw" },
  { .name = "second-format", .kind = OPTION_CHOICE, .value = &second_format,
    .choices = formats, .given = &second_format_given, .argument = "FORMAT",
    .help = "of SECOND: vhd (default) or raw" },
  { .name = "strict", .kind = OPTION_FLAG, .value = &strict,
    .help = "disks of different sizes differ, even if what one has more is "
            "zeros" },
  { .name = "quiet", .kind = OPTION_FLAG, .value = &quiet,
    .help = "print nothing" },
  { .name = "json", .kind = OPTION_FLAG, .value = &as_json,
    .help = "print JSON" },
  { .name = NULL },
};

static void
print_json(const struct vhd_compare_result *result)
{
  static const char *const words[] = {
    [VHD_DIFFER_NOT] = "same",
    [VHD_DIFFER_CONTENT] = "content",
    [VHD_DIFFER_SIZE] = "size",
  };
  struct json *top = json_object_new();

  json_put_bool(top, "same", result->differ == VHD_DIFFER_NOT);
  json_put_string(top, "difference", words[result->differ]);
  if (result->differ == VHD_DIFFER_CONTENT)
    json_put_int(top, "offset", result->offset);
  else
    json_put_null(top, "offset");
  json_put_int(top, "first-size", result->size[0]);
  json_put_int(top, "second-size", result->size[1]);
  json_print(top);
}

static void
print(const struct vhd_compare_result *result)
{
  switch (result->differ) {
  case VHD_DIFFER_NOT:
    puts(result->size[0] == result->size[1]
           ? "the disks are the same"
           : "the disks are the same, but for zeros at the end of one");
    break;
  case VHD_DIFFER_CONTENT:
    printf("the disks differ at %" PRIu64 "\n", result->offset);
    break;
  case VHD_DIFFER_SIZE:
    printf("the disks have different sizes, %" PRIu64 " and %" PRIu64 "\n",
           result->size[0], result->size[1]);
    break;
  }
}

static int
run(char **args)
{
  struct vhd_compare_result result;
  struct vhd_compare_options opt = {
    .open[0] = image_open_options(VHD_OPEN_READONLY |
                                  format_flags(first_format)),
    .open[1] = image_open_options(VHD_OPEN_READONLY |
                                  format_flags(second_format)),
    .flags = strict ? VHD_COMPARE_SIZES : 0,
  };
  struct vhd_error err = { 0 };

  if (remote_source(args[0], first_format_given, &opt.open[0]) < 0 ||
      remote_source(args[1], second_format_given, &opt.open[1]) < 0)
    return COMPARE_FAILED;
  opt.progress = progress_of("compared");
  const int r = vhd_compare(args[0], args[1], &opt, &result, &err);
  progress_end();
  if (r < 0) {
    image_complain(&err, true);
    interrupt_obey();
    const int code = exits_resolve(EXIT_FAILED);
    return code == EXIT_FAILED ? COMPARE_FAILED : code;
  }
  if (as_json)
    print_json(&result);
  else if (!quiet)
    print(&result);
  return result.differ == VHD_DIFFER_NOT ? COMPARE_SAME : COMPARE_DIFFER;
}

const struct verb compare_verb = {
  .name = "compare",
  .summary = "compare the content of two disks of any kind",
  .arguments = "FIRST SECOND",
  .min_args = 2,
  .max_args = 2,
  .options = { options, root_options, open_options, look_options,
               progress_options },
  .about = "Each may be the URI of a disk behind an NBD server.\n"
           "Exit status: 0 they are the same, 1 they differ, 2 and above: they "
           "could not be\ncompared.",
  .run = run,
};
