/* SPDX-License-Identifier: BSD-2-Clause */
/* main.c: vhdkit, the command line: the table of its verbs, which program.c
 * runs.  To add a verb: a file that defines a struct verb, a line in verbs.h, a
 * line in the table below, a line in local.mk, a manual page. */
#include "config.h"

#include <stddef.h>

#include "program.h"
#include "verbs.h"

static const struct verb *const verbs[] = {
  &create_verb, &info_verb, &list_verb, &map_verb, &check_verb, &convert_verb,
  &measure_verb, &compare_verb, &read_verb, &write_verb, &snapshot_verb,
  &revert_verb, &rebase_verb, &compact_verb, &resize_verb, &repair_verb,
  &relink_verb, &rescue_verb, &set_verb, &merge_verb, &attach_verb,
  &detach_verb, &mount_verb, &unmount_verb, &script_verb, NULL,
};

static const struct program vhdkit = {
  .name = "vhdkit",
  .about = "Creates, inspects, checks, reads and writes VHD images.",
  .pages = "vhdkit(1) and\nvhdkit-VERB(1)",
  .verbs = verbs,
};

int
main(int argc, char **argv)
{
  script_runs_by(&program_runner);
  return program_main(&vhdkit, argc, argv);
}
