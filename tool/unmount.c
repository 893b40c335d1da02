/* SPDX-License-Identifier: BSD-2-Clause */
/* unmount.c: vhdkit unmount.  Takes away what vhdkit mount has mounted, when
 * all that was written to it is in the image; or what was left of it. */
#include "config.h"

#include "attach/ending.h"
#include "verbs.h"

static bool force;

static const struct option_spec options[] = {
  { .name = "force", .kind = OPTION_FLAG, .value = &force,
    .help = "also where it is in use, or cannot be written" },
  { .name = NULL },
};

static int
run(char **args)
{
  return ending_run(args[0], true, force) < 0 ? EXIT_FAILED : EXIT_DONE;
}

const struct verb unmount_verb = {
  .name = "unmount",
  .summary = "take away what mount has mounted, when all is in the image",
  .arguments = "FOLDER|IMAGE",
  .min_args = 1,
  .max_args = 1,
  .options = { options },
  .about = "Clears, too, what is left where something was killed.",
  .run = run,
};
