/* SPDX-License-Identifier: BSD-2-Clause */
/* program.c: see program.h. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "message.h"
#include "options.h"
#include "program.h"
#include "vhdkit.h"

static const struct program *running;

static int run_help(char **args);
static int run_version(char **args);

static const struct verb help_verb = {
  .name = "help",
  .summary = "print what there is, or how one verb is used",
  .arguments = "[VERB]",
  .max_args = 1,
  .run = run_help,
};

static const struct verb version_verb = {
  .name = "version",
  .summary = "print the version",
  .arguments = "",
  .run = run_version,
};

static const struct verb *const common[] = { &help_verb, &version_verb, NULL };

static const struct verb *
find_in(const struct verb *const *verbs, const char *name)
{
  while (*verbs != NULL && strcmp((*verbs)->name, name) != 0)
    verbs++;
  return *verbs;
}

static const struct verb *
find_verb(const char *name)
{
  const struct verb *verb = find_in(running->verbs, name);

  return verb != NULL ? verb : find_in(common, name);
}

static size_t
longest(const struct verb *const *verbs, size_t width)
{
  for (; *verbs != NULL; verbs++)
    if (strlen((*verbs)->name) > width)
      width = strlen((*verbs)->name);
  return width;
}

static void
print_verbs(FILE *out, const struct verb *const *verbs, size_t width)
{
  for (; *verbs != NULL; verbs++)
    fprintf(out, "  %-*s %s\n", (int)width, (*verbs)->name,
            (*verbs)->summary);
}

static void
print_usage(FILE *out)
{
  const size_t width = longest(running->verbs, longest(common, 0));

  fprintf(out, "usage: %s VERB [OPTION...] [ARGUMENT...]\n\n%s\n\n",
          running->name, running->about);
  print_verbs(out, running->verbs, width);
  print_verbs(out, common, width);
  fprintf(out, "\n`%s help VERB` says more; so do the manual pages %s.\n",
          running->name, running->pages);
}

static void
print_verb(FILE *out, const struct verb *verb)
{
  fprintf(out, "usage: %s %s%s%s%s\n\n%c%s.\n\n", running->name, verb->name,
          verb->options[0] != NULL ? " [OPTION...]" : "",
          *verb->arguments != '\0' ? " " : "", verb->arguments,
          verb->summary[0] - 'a' + 'A', verb->summary + 1);
  options_print(out, verb->options, VERB_TABLES);
  if (verb->about != NULL)
    fprintf(out, "\n%s\n", verb->about);
}

static int
run_help(char **args)
{
  if (args[0] == NULL) {
    print_usage(stdout);
    return EXIT_DONE;
  }
  const struct verb *verb = find_verb(args[0]);
  if (verb == NULL)
    return complain_usage("there is no verb %s", args[0]);
  print_verb(stdout, verb);
  return EXIT_DONE;
}

static int
run_version(char **args)
{
  (void)args;
  printf("%s %s\n", running->name, vhd_version());
  return EXIT_DONE;
}

static int
run_verb(const struct verb *verb, int argc, char **argv)
{
  char **args;
  int nargs;
  bool help;

  if (options_parse(argc, argv, verb->options, VERB_TABLES, &args, &nargs,
                    &help) < 0)
    return EXIT_FAILED;
  if (help) {
    print_verb(stdout, verb);
    return EXIT_DONE;
  }
  if (nargs < verb->min_args || nargs > verb->max_args)
    return complain_usage("%s; usage: %s %s%s %s",
                          nargs < verb->min_args ? "something is missing"
                                                 : "too many arguments",
                          running->name, verb->name,
                          verb->options[0] != NULL ? " [OPTION...]" : "",
                          verb->arguments);
  return verb->run(args);
}

/* What was printed must have arrived: a full disk must not look like
 * success. */
static int
finish(int status)
{
  bool failed = ferror(stdout);

  if ((fclose(stdout) != 0 || failed) && status == EXIT_DONE) {
    /* stdout is gone, and complain() would flush it. */
    fprintf(stderr, "%s: cannot write the output: %s\n", running->name,
            strerror(errno));
    return exits_of_errno(errno);
  }
  return status;
}

static bool
is_verb(const char *name)
{
  return find_verb(name) != NULL;
}

static int
run_line(int argc, char **argv)
{
  const struct verb *verb = find_verb(argv[0]);

  if (verb == NULL) {
    complain_usage("there is no verb %s; see %s help", argv[0], running->name);
    return EXIT_USAGE;
  }
  message_verb(verb->name);
  return finish(exits_resolve(run_verb(verb, argc, argv)));
}

const struct verb_runner program_runner = {
  .is_verb = is_verb,
  .run = run_line,
};

/* A standard file that is not there must not become an image, into which
 * messages would then go.  What takes its place fails when it is used, as the
 * missing one would: input cannot be read, output not be written. */
static void
fill_standard_files(void)
{
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 &&
        open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
      _exit(EXIT_FAILED);
}

int
program_main(const struct program *program, int argc, char **argv)
{
  running = program;
  message_program(program->name);
  fill_standard_files();
  /* For the width of characters in tables; numbers stay as they are. */
  setlocale(LC_CTYPE, "");

  const char *name = argc > 1 ? argv[1] : NULL;
  if (name == NULL) {
    print_usage(stderr);
    return EXIT_USAGE;
  }
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
    name = "help";
  if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
    name = "version";

  argv[1] = (char *)name;
  return run_line(argc - 1, argv + 1);
}
