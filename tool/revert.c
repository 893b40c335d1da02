/* SPDX-License-Identifier: BSD-2-Clause */
/* revert.c: vhdkit revert.  Throws away what was written to a child. */
#include "config.h"

#include "image.h"
#include "message.h"
#include "verbs.h"

static int
run(char **args)
{
  struct vhd_chain_options opt = { .open = image_open_options(0) };
  struct vhd_error err = { 0 };

  if (vhd_revert(args[0], &opt, &err) == 0)
    return EXIT_DONE;
  image_complain(&err, false);
  return EXIT_FAILED;
}

const struct verb revert_verb = {
  .name = "revert",
  .summary = "throw away what was written to a child",
  .arguments = "CHILD",
  .min_args = 1,
  .max_args = 1,
  .options = { root_options },
  .about = "CHILD reads as its parent afterwards.  What it held is gone for "
           "good.",
  .run = run,
};
