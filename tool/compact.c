/* SPDX-License-Identifier: BSD-2-Clause */
/* compact.c: vhdkit compact.  The library does it; this tells what was done. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "image.h"
#include "inside/free.h"
#include "interrupt.h"
#include "json.h"
#include "message.h"
#include "progress.h"
#include "text.h"
#include "verbs.h"

static bool as_json, drop_free;

static const struct option_spec options[] = {
  { .name = "free", .kind = OPTION_FLAG, .value = &drop_free,
    .help = "also drop what file systems inside do not use (NTFS, ext, FAT)" },
  { .name = "json", .kind = OPTION_FLAG, .value = &as_json,
    .help = "print what was done as JSON" },
  { .name = NULL },
};

static void
print_json(const char *image, const struct vhd_compact_result *result)
{
  struct json *top = json_object_new();

  json_put_string(top, "filename", image);
  json_put_int(top, "file-size-before", result->file_size_before);
  json_put_int(top, "file-size", result->file_size);
  json_put_int(top, "dropped-blocks", result->nblk_dropped);
  json_put_int(top, "moved-blocks", result->nblk_moved);
  json_print(top);
}

static void
print_text(const char *image, const struct vhd_compact_result *result)
{
  char before[TEXT_SIZE], after[TEXT_SIZE];
  char *name = text_safe(image);

  printf("%s: %s, was %s: %" PRIu64 " blocks dropped, %" PRIu64 " moved\n",
         name, text_size(result->file_size, after),
         text_size(result->file_size_before, before), result->nblk_dropped,
         result->nblk_moved);
  free(name);
}

static int
run(char **args)
{
  struct free_map map = { .n = 0 };
  struct vhd_compact_options opt = {
    .open = image_open_options(0),
    .progress = progress_of("compacted"),
  };
  struct vhd_compact_result result;
  struct vhd_error err = { 0 };

  if (drop_free && !free_can_look()) {
    complain("this vhdkit was built without libblkid, and so cannot tell "
             "what is free");
    return EXIT_FAILED;
  }
  if (drop_free) {
    opt.next_free = free_next;
    opt.opaque = &map;
  }
  const int r = vhd_compact(args[0], &opt, &result, &err);
  progress_end();
  free_map_free(&map);
  if (r < 0) {
    image_complain(&err, false);
    interrupt_obey();
    return EXIT_FAILED;
  }
  if (as_json)
    print_json(args[0], &result);
  else
    print_text(args[0], &result);
  return EXIT_DONE;
}

const struct verb compact_verb = {
  .name = "compact",
  .summary = "make the file of an image as short as may be",
  .arguments = "IMAGE",
  .min_args = 1,
  .max_args = 1,
  .options = { options, root_options, open_options, progress_options },
  .about = "The disk reads the same afterwards, but for what is free.  It can "
           "be interrupted\nat any time, by a power cut too, and goes on when "
           "it is called again.",
  .run = run,
};
