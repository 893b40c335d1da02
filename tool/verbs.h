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

/* Verbs by their names, for who runs some: main.c's. */
struct verb_runner {
  bool (*is_verb)(const char *name);
  /* argv[0] is the name.  The output is written; an exit code. */
  int (*run)(int argc, char **argv);
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
extern const struct verb script_verb;
extern const struct verb set_verb;
extern const struct verb write_verb;
extern const struct verb snapshot_verb;
extern const struct verb revert_verb;
extern const struct verb rebase_verb;
extern const struct verb merge_verb;
extern const struct verb mount_verb;
extern const struct verb unmount_verb;

/* Before script_verb is run. */
void script_runs_by(const struct verb_runner *runner);

#endif
