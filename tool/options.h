/* SPDX-License-Identifier: BSD-2-Clause */
/* options.h: command lines as tables.  A table of struct option_spec is at
 * once what the parser knows and what --help prints. */
#ifndef TOOL_OPTIONS_H
#define TOOL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_kind {
  OPTION_FLAG,   /* bool */
  OPTION_SIZE,   /* uint64_t; K, M, G, T */
  OPTION_STRING, /* const char * */
  OPTION_CHOICE, /* int; one of .choices */
  OPTION_LIST,   /* struct option_list; may be given again */
};

struct option_choice {
  const char *name; /* NULL ends the list */
  int value;
};

struct option_list {
  const char **item;
  size_t n;
};

struct option_spec {
  const char *name; /* without dashes; NULL ends the table */
  enum option_kind kind;
  void *value;      /* of the type that kind says */
  const char *argument;
  const char *help;
  const struct option_choice *choices;
  bool *given; /* where it matters; or NULL */
};

/* Parses argv[1..] by the tables (at most n, NULL ones are passed over) and
 * leaves in *args what is no option, NULL-terminated, and its number in *nargs.
 * Options may follow arguments; "--" ends them.  --help sets *help and stops.
 * Complains and returns -1 where the line is wrong. */
int options_parse(int argc, char **argv,
                  const struct option_spec *const *tables, size_t n,
                  char ***args, int *nargs, bool *help);

/* The options of the tables, with their help, for people. */
void options_print(FILE *out, const struct option_spec *const *tables,
                   size_t n);

#endif
