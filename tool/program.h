/* SPDX-License-Identifier: BSD-2-Clause */
/* program.h: a program of verbs: finds the verb, parses its options by its
 * tables, runs it, and says what there is.  The verbs help and version are
 * here, and are each program's.  A program has one thread. */
#ifndef TOOL_PROGRAM_H
#define TOOL_PROGRAM_H

#include "verbs.h"

struct program {
  const char *name;
  const char *about; /* a sentence: what it does */
  const char *pages; /* the manual pages: "vhdkit(1) and ..." */
  const struct verb *const *verbs; /* ended by NULL */
};

/* The whole of main(); returns the exit code. */
int program_main(const struct program *program, int argc, char **argv);

/* The verbs of the program that runs. */
extern const struct verb_runner program_runner;

#endif
