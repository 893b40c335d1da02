/* SPDX-License-Identifier: BSD-2-Clause */
/* resize.c: vhdkit resize.  The library does it; this says in which words it is
 * asked for. */
#include "config.h"

#include <stdio.h>

#include "image.h"
#include "interrupt.h"
#include "message.h"
#include "progress.h"
#include "verbs.h"

static bool shrink, full, with_children;

static const struct option_spec options[] = {
  { .name = "shrink", .kind = OPTION_FLAG, .value = &shrink,
    .help = "let it become smaller, where nothing but zeros goes" },
  { .name = "full", .kind = OPTION_FLAG, .value = &full,
    .help = "fixed: set all new space aside" },
  { .name = "with-children", .kind = OPTION_FLAG, .value = &with_children,
    .help = "also where other images are its children" },
  { .name = NULL },
};

static int
run(char **args)
{
  struct vhd_resize_options opt = {
    .open = image_open_options(0),
    .flags = (shrink ? VHD_RESIZE_SHRINK : 0) | (full ? VHD_RESIZE_FULL : 0) |
             (with_children ? VHD_RESIZE_CHILDREN : 0),
  };
  struct vhd_error err = { 0 };
  uint64_t size;

  if (vhd_parse_size(args[1], &size) < 0)
    return complain_usage("%s is no size", args[1]);
  opt.progress = progress_of("resized");
  const int r = vhd_resize(args[0], size, &opt, &err);
  progress_end();
  if (r == 0)
    return EXIT_DONE;
  image_complain(&err, false);
  interrupt_obey();
  return EXIT_FAILED;
}

const struct verb resize_verb = {
  .name = "resize",
  .summary = "give the disk of an image another size",
  .arguments = "IMAGE SIZE",
  .min_args = 2,
  .max_args = 2,
  .options = { options, root_options, open_options, progress_options },
  .about = "What is new reads as zeros.  What would go must read as zeros.  "
           "Whenever it ends, the\nimage is as before or as after.",
  .run = run,
};
