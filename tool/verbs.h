/* SPDX-License-Identifier: BSD-2-Clause */
/* verbs.h: what a verb of vhdkit is.  Each has a file of its own, which
 * defines one struct verb; main.c has the table of them.  The tool has one
 * thread. */
#ifndef TOOL_VERBS_H
#define TOOL_VERBS_H

#include "exits.h"
#include "options.h"

#define VERB_TABLES 5

struct verb {
  const char *name;
  const char *summary;   /* for `vhdkit help` */
  const char *arguments; /* after the options: "IMAGE [FILE]" */
  int min_args, max_args;
  /* Tables of options, own ones first; unused ones are NULL. */
  const struct option_spec *options[VERB_TABLES];
  const char *about; /* for `vhdkit help VERB`, below the options */
  int (*run)(char **args); /* NULL-terminated; returns one of exits.h */
};

extern const struct verb attach_verb;
extern const struct verb create_verb;
extern const struct verb detach_verb;
extern const struct verb info_verb;
extern const struct verb list_verb;
extern const struct verb map_verb;
extern const struct verb check_verb;
extern const struct verb convert_verb;
extern const struct verb measure_verb;
extern const struct verb compare_verb;
extern const struct verb compact_verb;
extern const struct verb read_verb;
extern const struct verb relink_verb;
extern const struct verb repair_verb;
extern const struct verb rescue_verb;
extern const struct verb resize_verb;
extern const struct verb set_verb;
extern const struct verb write_verb;
extern const struct verb snapshot_verb;
extern const struct verb revert_verb;
extern const struct verb rebase_verb;
extern const struct verb merge_verb;
extern const struct verb mount_verb;
extern const struct verb unmount_verb;

#endif
