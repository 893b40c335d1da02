/* SPDX-License-Identifier: BSD-2-Clause */
/* rebase.c: vhdkit rebase.  Gives a child another parent. */
#include "config.h"

#include "image.h"
#include "interrupt.h"
#include "message.h"
#include "progress.h"
#include "verbs.h"

static bool copy, unchecked;

static const struct option_spec options[] = {
  { .name = "copy", .kind = OPTION_FLAG, .value = &copy,
    .help = "copy into CHILD what the new parent does not hold" },
  { .name = "unchecked", .kind = OPTION_FLAG, .value = &unchecked,
    .help = "compare nothing: the disk becomes what the new parent makes of "
            "it" },
  { .name = NULL },
};

static int
run(char **args)
{
  struct vhd_chain_options opt = {
    .open = image_open_options(0),
    .flags = (copy ? VHD_REBASE_COPY : 0) |
             (unchecked ? VHD_REBASE_UNCHECKED : 0),
    .progress = progress_of("compared"),
  };
  struct vhd_error err = { 0 };

  if (copy && unchecked)
    return complain_usage("--copy compares, --unchecked does not");
  int r = vhd_rebase(args[0], args[1], &opt, &err);
  progress_end();
  if (r == 0)
    return EXIT_DONE;
  image_complain(&err, false);
  interrupt_obey();
  return EXIT_FAILED;
}

const struct verb rebase_verb = {
  .name = "rebase",
  .summary = "give a child another parent",
  .arguments = "CHILD PARENT",
  .min_args = 2,
  .max_args = 2,
  .options = { options, root_options, progress_options },
  .about = "Where CHILD holds nothing, PARENT must hold what the former parent "
           "does; else\nnothing is changed.",
  .run = run,
};
