/* SPDX-License-Identifier: BSD-2-Clause */
/* relink.c: vhdkit relink.  Children find their moved parents again. */
#include "config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "image.h"
#include "interrupt.h"
#include "json.h"
#include "message.h"
#include "progress.h"
#include "text.h"
#include "verbs.h"

static bool as_json, recursive, dry_run;
static struct option_list parents;

static const struct option_spec options[] = {
  { .name = "dry-run", .kind = OPTION_FLAG, .value = &dry_run,
    .help = "say what would be done, and do nothing" },
  { .name = "json", .kind = OPTION_FLAG, .value = &as_json,
    .help = "print JSON: an array with an object for each child" },
  { .name = "parent", .kind = OPTION_LIST, .value = &parents,
    .argument = "IMAGE", .help = "of several images with one id this is the "
                                 "parent; may be given again" },
  { .name = "recursive", .kind = OPTION_FLAG, .value = &recursive,
    .help = "folders in folders too" },
  { .name = NULL },
};

static void
show(void *opaque, const struct vhd_relink_item *item)
{
  progress_clear();
  if (as_json) {
    struct json *object = json_object_new();
    json_put_string(object, "filename", item->path);
    if (item->parent != NULL)
      json_put_string(object, "full-backing-filename", item->parent);
    json_put_bool(object, "relinked", item->code == VHD_OK && !dry_run);
    if (item->message != NULL) {
      json_put_string(object, "code", vhd_code_name(item->code));
      json_put_string(object, "message", item->message);
    }
    json_list_item(opaque, object);
  } else if (item->code != VHD_OK) {
    complain("%s", item->message);
  } else {
    char *path = text_safe(item->path), *parent = text_safe(item->parent);
    printf("%s -> %s\n", path, parent);
    free(path);
    free(parent);
  }
}

static int
run(char **args)
{
  struct vhd_relink_options opt = {
    .open = image_open_options(0),
    .flags = (recursive ? VHD_RELINK_RECURSIVE : 0) |
             (dry_run ? VHD_RELINK_DRY_RUN : 0),
    .parents = parents.item,
    .nparents = parents.n,
    .progress = progress_of("relinked"),
  };
  struct vhd_relink_result result;
  struct vhd_error err = { 0 };
  struct json_list list = { 0 };
  size_t n = 0;

  while (args[n] != NULL)
    n++;
  const int r = vhd_relink((const char *const *)args, n, &opt, show, &list,
                           &result, &err);
  progress_end();
  if (as_json)
    json_list_end(&list);
  if (r < 0) {
    image_complain(&err, false);
    interrupt_obey();
  }
  return r < 0 || result.left > 0 ? EXIT_FAILED : EXIT_DONE;
}

const struct verb relink_verb = {
  .name = "relink",
  .summary = "have children find their moved parents again",
  .arguments = "FOLDER...",
  .min_args = 1,
  .max_args = INT_MAX,
  .options = { options, root_options, progress_options },
  .about = "The parent is the image with the id that the child names.",
  .run = run,
};
