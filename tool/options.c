/* SPDX-License-Identifier: BSD-2-Clause */
/* options.c: see options.h.  getopt_long() does the walking, from tables made
 * of ours. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "options.h"
#include "vhdkit.h"

#define MAX_OPTIONS 32
#define OPT_HELP 1000
#define HELP_COLUMN 26

static int
parse_size(const struct option_spec *spec, const char *text)
{
  int r = vhd_parse_size(text, spec->value);

  if (r == -ERANGE)
    complain_usage("--%s %s: the number is too large", spec->name, text);
  else if (r < 0)
    complain_usage("--%s %s: not a size; write for instance 512, 64K, 10G or "
                   "1.5T", spec->name, text);
  return r < 0 ? -1 : 0;
}

static int
parse_choice(const struct option_spec *spec, const char *text)
{
  char names[200] = "";

  for (const struct option_choice *c = spec->choices; c->name != NULL; c++) {
    if (strcmp(c->name, text) == 0) {
      *(int *)spec->value = c->value;
      return 0;
    }
    size_t len = strlen(names);
    snprintf(names + len, sizeof names - len, "%s%s", len > 0 ? ", " : "",
             c->name);
  }
  complain_usage("--%s %s: must be one of %s", spec->name, text, names);
  return -1;
}

static int
append(struct option_list *list, const char *text)
{
  const char **item = realloc(list->item, (list->n + 1) * sizeof *item);

  if (item == NULL) {
    complain("out of memory");
    return -1;
  }
  list->item = item;
  list->item[list->n++] = text;
  return 0;
}

static int
take(const struct option_spec *spec, const char *text)
{
  if (spec->given != NULL)
    *spec->given = true;
  switch (spec->kind) {
  case OPTION_FLAG:
    *(bool *)spec->value = true;
    return 0;
  case OPTION_SIZE:
    return parse_size(spec, text);
  case OPTION_STRING:
    *(const char **)spec->value = text;
    return 0;
  case OPTION_CHOICE:
    return parse_choice(spec, text);
  case OPTION_LIST:
    return append(spec->value, text);
  }
  return -1;
}

/* Fills long_options and the specs they came from; returns their number. */
static int
flatten(const struct option_spec *const *tables, size_t n,
        struct option *long_options, const struct option_spec **specs)
{
  int count = 0;

  for (size_t t = 0; t < n; t++) {
    if (tables[t] == NULL)
      continue;
    for (const struct option_spec *s = tables[t]; s->name != NULL; s++) {
      if (count == MAX_OPTIONS - 2)
        abort();
      specs[count] = s;
      long_options[count] = (struct option){
        .name = s->name,
        .has_arg = s->kind == OPTION_FLAG ? no_argument : required_argument,
        .val = count,
      };
      count++;
    }
  }
  long_options[count] = (struct option){ .name = "help", .val = OPT_HELP };
  long_options[count + 1] = (struct option){ 0 };
  return count;
}

int
options_parse(int argc, char **argv,
              const struct option_spec *const *tables, size_t n, char ***args,
              int *nargs, bool *help)
{
  struct option long_options[MAX_OPTIONS];
  const struct option_spec *specs[MAX_OPTIONS];

  flatten(tables, n, long_options, specs);
  *help = false;
  opterr = 0;
  optind = 0;
  for (;;) {
    /* What was being looked at, for messages: getopt does not say. */
    int at = optind == 0 ? 1 : optind;
    int c = getopt_long(argc, argv, ":h", long_options, NULL);
    if (c == -1)
      break;
    switch (c) {
    case 'h':
    case OPT_HELP:
      *help = true;
      return 0;
    case ':':
      complain_usage("%s needs a value", argv[optind - 1]);
      return -1;
    case '?':
      if (optopt >= 0 && optopt < MAX_OPTIONS && optind > at &&
          strchr(argv[optind - 1], '=') != NULL)
        complain_usage("%s takes no value", argv[optind - 1]);
      else
        complain_usage("%s is not an option here", argv[optind - 1]);
      return -1;
    default:
      if (take(specs[c], optarg) < 0)
        return -1;
    }
  }
  *args = argv + optind;
  *nargs = argc - optind;
  return 0;
}

/* Prints text from HELP_COLUMN on, broken into lines. */
static void
print_help(FILE *out, const char *text, int column)
{
  if (column >= HELP_COLUMN) {
    fputc('\n', out);
    column = 0;
  }
  while (*text != '\0') {
    fprintf(out, "%*s", HELP_COLUMN - column, "");
    column = 0;
    size_t len = strlen(text);
    if (len > 79 - HELP_COLUMN) {
      len = 79 - HELP_COLUMN;
      while (len > 0 && text[len] != ' ')
        len--;
      if (len == 0)
        len = strcspn(text, " ");
    }
    fprintf(out, "%.*s\n", (int)len, text);
    text += len;
    text += strspn(text, " ");
  }
}

void
options_print(FILE *out, const struct option_spec *const *tables, size_t n)
{
  for (size_t t = 0; t < n; t++) {
    if (tables[t] == NULL)
      continue;
    for (const struct option_spec *s = tables[t]; s->name != NULL; s++) {
      int column = fprintf(out, "  --%s%s%s", s->name,
                           s->argument != NULL ? " " : "",
                           s->argument != NULL ? s->argument : "");
      print_help(out, s->help, column);
    }
  }
  print_help(out, "print this", fprintf(out, "  --help"));
}
