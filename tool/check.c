/* SPDX-License-Identifier: BSD-2-Clause */
/* check.c: vhdkit check.  Prints what the library finds, as it finds it, and
 * turns the outcome into an exit status that scripts can tell apart. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "image.h"
#include "interrupt.h"
#include "json.h"
#include "message.h"
#include "progress.h"
#include "text.h"
#include "verbs.h"

enum {
  CHECK_SOUND = EXIT_DONE,
  /* A parent is not to be looked at, and nothing else is broken. */
  CHECK_INCOMPLETE = EXIT_FAILED,
  CHECK_BROKEN = EXIT_DAMAGED,
  CHECK_LEAKED = EXIT_LEAKED,
  CHECK_DOUBTFUL = EXIT_DOUBTFUL,
};

static bool as_json, quiet;
static uint32_t unreached; /* parents that are missing or denied */

static const struct option_spec options[] = {
  { .name = "json", .kind = OPTION_FLAG, .value = &as_json,
    .help = "print JSON" },
  { .name = "quiet", .kind = OPTION_FLAG, .value = &quiet,
    .help = "print nothing about what is sound, and no notes" },
  { .name = NULL },
};

static const char *const severities[] = {
  [VHD_NOTE] = "note",
  [VHD_LEAKED] = "leaked",
  [VHD_BROKEN] = "broken",
  [VHD_DOUBTFUL] = "doubtful",
};

/* opaque: the JSON array of findings, or NULL. */
static void
found(void *opaque, const struct vhd_finding *finding)
{
  if (finding->severity == VHD_BROKEN &&
      (finding->code == VHD_PARENT_MISSING ||
       finding->code == VHD_PARENT_DENIED))
    unreached++;
  if (opaque != NULL) {
    struct json *item = json_object_new();
    json_put_string(item, "severity", severities[finding->severity]);
    json_put_string(item, "code", vhd_code_name(finding->code));
    json_put_string(item, "path", finding->path);
    json_put_string(item, "message", finding->message);
    json_add(opaque, item);
    return;
  }
  if (quiet && finding->severity == VHD_NOTE)
    return;
  progress_clear();
  char *path = text_safe(finding->path);
  char *message = text_safe(finding->message);
  printf("%s: %s: %s\n", severities[finding->severity], path, message);
  free(path);
  free(message);
}

static int
verdict(const struct vhd_check_result *result)
{
  if (result->errors > 0)
    return result->errors > unreached ? CHECK_BROKEN : CHECK_INCOMPLETE;
  if (result->doubts > 0)
    return CHECK_DOUBTFUL;
  return result->leaks > 0 ? CHECK_LEAKED : CHECK_SOUND;
}

static void
print_json(const char *image, const struct vhd_check_result *result,
           struct json *findings)
{
  static const char *const words[] = {
    [CHECK_SOUND] = "sound",
    [CHECK_INCOMPLETE] = "incomplete",
    [CHECK_BROKEN] = "broken",
    [CHECK_LEAKED] = "leaked",
    [CHECK_DOUBTFUL] = "doubtful",
  };
  struct json *top = json_object_new();

  json_put_string(top, "filename", image);
  json_put_string(top, "result", words[verdict(result)]);
  json_put_int(top, "errors", result->errors);
  json_put_int(top, "doubts", result->doubts);
  json_put_int(top, "leaks", result->leaks);
  json_put_int(top, "notes", result->notes);
  json_put_int(top, "leaked-bytes", result->leaked);
  json_put_int(top, "allocated-blocks", result->nblk_allocated);
  json_put(top, "findings", findings);
  json_print(top);
}

static void
print_summary(const char *image, const struct vhd_check_result *result)
{
  char size[TEXT_SIZE];
  char *name = text_safe(image);

  switch (verdict(result)) {
  case CHECK_SOUND:
    if (!quiet)
      printf("%s: sound\n", name);
    break;
  case CHECK_LEAKED:
    printf("%s: sound, but %s of its file is of no use\n", name,
           text_size(result->leaked, size));
    break;
  case CHECK_DOUBTFUL:
    printf("%s: doubtful\n", name);
    break;
  case CHECK_INCOMPLETE:
    printf("%s: not all of its chain could be looked at\n", name);
    break;
  default:
    printf("%s: broken: %" PRIu32 " %s\n", name, result->errors,
           result->errors == 1 ? "error" : "errors");
  }
  free(name);
}

static int
run(char **args)
{
  const struct vhd_check_options opt = {
    .open = image_open_options(VHD_OPEN_READONLY),
    .progress = progress_of("checked"),
  };
  struct vhd_check_result result = { 0 };
  struct vhd_error err = { 0 };
  struct json *findings = as_json ? json_array_new() : NULL;

  const int r = vhd_check(args[0], &opt, found, findings, &result, &err);
  progress_end();
  if (r < 0) {
    json_free(findings);
    image_complain(&err, true);
    interrupt_obey();
    return EXIT_FAILED;
  }
  if (as_json)
    print_json(args[0], &result, findings);
  else
    print_summary(args[0], &result);
  return verdict(&result);
}

const struct verb check_verb = {
  .name = "check",
  .summary = "look for everything that can be wrong with an image",
  .arguments = "IMAGE",
  .min_args = 1,
  .max_args = 1,
  .options = { options, root_options, open_options, look_options,
               progress_options },
  .about = "Exit status: 0 sound, 1 it is no VHD, or a parent is missing or "
           "denied,\n2 broken, 3 only space leaked, 4 in doubt: its parent may "
           "have been changed;\nothers: it could not be looked at.  Nothing is "
           "changed.",
  .run = run,
};
