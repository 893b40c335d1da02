/* SPDX-License-Identifier: BSD-2-Clause */
/* repair.c: vhdkit repair.  The library does it; this tells what was done, and
 * whether that was all. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "image.h"
#include "interrupt.h"
#include "json.h"
#include "progress.h"
#include "text.h"
#include "verbs.h"

static bool as_json, undo;

static const struct option_spec options[] = {
  { .name = "json", .kind = OPTION_FLAG, .value = &as_json,
    .help = "print JSON" },
  { .name = "undo", .kind = OPTION_FLAG, .value = &undo,
    .help = "put back what a repair has changed" },
  { .name = NULL },
};

/* opaque: the JSON array, or NULL. */
static void
found(void *opaque, const struct vhd_finding *finding)
{
  if (opaque != NULL) {
    struct json *item = json_object_new();
    json_put_string(item, "code", vhd_code_name(finding->code));
    json_put_string(item, "message", finding->message);
    json_add(opaque, item);
    return;
  }
  progress_clear();
  char *path = text_safe(finding->path);
  printf("%s: %s\n", path, finding->message);
  free(path);
}

static void
print_result(const char *image, const struct vhd_repair_result *result,
             struct json *repairs)
{
  if (as_json) {
    struct json *top = json_object_new();
    json_put_string(top, "filename", image);
    json_put_int(top, "repaired", result->repaired);
    json_put_int(top, "left", result->left);
    json_put(top, "repairs", repairs);
    json_print(top);
    return;
  }
  char *name = text_safe(image);
  if (undo)
    printf("%s: it is as it was before its repair\n", name);
  else if (result->repaired == 0 && result->left == 0)
    printf("%s: there is nothing to repair\n", name);
  else if (result->left > 0)
    printf("%s: %" PRIu32 " faults are left; see vhdkit check\n", name,
           result->left);
  else
    printf("%s: repaired; what was changed is in %s.vhdkit-undo\n", name,
           name);
  free(name);
}

static int
run(char **args)
{
  const struct vhd_repair_options opt = {
    .open = image_open_options(0),
    .progress = progress_of("repaired"),
    .flags = undo ? VHD_REPAIR_UNDO : 0,
  };
  struct vhd_repair_result result;
  struct vhd_error err = { 0 };
  struct json *repairs = as_json ? json_array_new() : NULL;

  const int r = vhd_repair(args[0], &opt, found, repairs, &result, &err);
  progress_end();
  if (r < 0) {
    json_free(repairs);
    image_complain(&err, false);
    interrupt_obey();
    return EXIT_FAILED;
  }
  print_result(args[0], &result, repairs);
  return result.left > 0 ? EXIT_DAMAGED : EXIT_DONE;
}

const struct verb repair_verb = {
  .name = "repair",
  .summary = "make good what can be made good of a damaged image",
  .arguments = "IMAGE",
  .min_args = 1,
  .max_args = 1,
  .options = { options, root_options, progress_options },
  .about = "Exit status: 0 it is repaired, or was sound, 1 it could not be "
           "looked at or changed, 2\nfaults are left.  What was changed is in "
           "IMAGE.vhdkit-undo.",
  .run = run,
};
