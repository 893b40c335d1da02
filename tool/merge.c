/* SPDX-License-Identifier: BSD-2-Clause */
/* merge.c: vhdkit merge.  A child becomes part of its parent. */
#include "config.h"

#include "image.h"
#include "interrupt.h"
#include "progress.h"
#include "verbs.h"

static bool spoil;

static const struct option_spec options[] = {
  { .name = "spoil-others", .kind = OPTION_FLAG, .value = &spoil,
    .help = "do it though the parent has other children, which are worth "
            "nothing afterwards" },
  { .name = NULL },
};

static int
run(char **args)
{
  struct vhd_chain_options opt = {
    .open = image_open_options(0),
    .flags = spoil ? VHD_MERGE_SPOIL_OTHERS : 0,
    .progress = progress_of("merged"),
  };
  struct vhd_error err = { 0 };

  int r = vhd_merge(args[0], &opt, &err);
  progress_end();
  if (r == 0)
    return EXIT_DONE;
  image_complain(&err, false);
  interrupt_obey();
  return EXIT_FAILED;
}

const struct verb merge_verb = {
  .name = "merge",
  .summary = "make a child part of its parent",
  .arguments = "CHILD",
  .min_args = 1,
  .max_args = 1,
  .options = { options, root_options, progress_options },
  .about = "The parent reads as CHILD did, and CHILD is removed.  What is "
           "interrupted is\nfinished by the same command.",
  .run = run,
};
