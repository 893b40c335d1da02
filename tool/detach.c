/* SPDX-License-Identifier: BSD-2-Clause */
/* detach.c: vhdkit detach.  Takes away what vhdkit attach has made, when all
 * that was written to it is in the image; or what was left of it. */
#include "config.h"

#include "attach/ending.h"
#include "verbs.h"

static bool force;

static const struct option_spec options[] = {
  { .name = "force", .kind = OPTION_FLAG, .value = &force,
    .help = "also where it is in use, or cannot be flushed" },
  { .name = NULL },
};

static int
run(char **args)
{
  return ending_run(args[0], false, force) < 0 ? EXIT_FAILED : EXIT_DONE;
}

const struct verb detach_verb = {
  .name = "detach",
  .summary = "take away what attach has made, when all is in the image",
  .arguments = "IMAGE|DEVICE",
  .min_args = 1,
  .max_args = 1,
  .options = { options },
  .about = "Clears, too, what is left where the server was killed.",
  .run = run,
};
