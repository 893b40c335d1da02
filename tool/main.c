/* SPDX-License-Identifier: BSD-2-Clause */
/* main.c: vhdkit, the command line.  Finds the verb, parses its options by its
 * tables, runs it.  To add a verb: a file that defines a struct verb, a line in
 * verbs.h, a line in the table below, a line in local.mk, a manual page. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"
#include "options.h"
#include "verbs.h"
#include "vhdkit.h"

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

static const struct verb *const verbs[] = {
  &create_verb, &info_verb, &list_verb, &map_verb, &check_verb, &convert_verb,
  &measure_verb, &compare_verb, &read_verb, &write_verb, &snapshot_verb,
  &revert_verb, &rebase_verb, &compact_verb, &resize_verb, &repair_verb,
  &relink_verb, &rescue_verb, &set_verb, &merge_verb, &attach_verb,
  &detach_verb, &mount_verb, &unmount_verb, &script_verb, &help_verb,
  &version_verb,
};

#define NVERBS (sizeof verbs / sizeof verbs[0])

static const struct verb *
find_verb(const char *name)
{
  for (size_t i = 0; i < NVERBS; i++)
    if (strcmp(verbs[i]->name, name) == 0)
      return verbs[i];
  return NULL;
}

static void
print_usage(FILE *out)
{
  fputs("usage: vhdkit VERB [OPTION...] [ARGUMENT...]\n\n"
        "Creates, inspects, checks, reads and writes VHD images.\n\n", out);
  for (size_t i = 0; i < NVERBS; i++)
    fprintf(out, "  %-9s %s\n", verbs[i]->name, verbs[i]->summary);
  fputs("\n`vhdkit help VERB` says more; so do the manual pages vhdkit(1) "
        "and\nvhdkit-VERB(1).\n", out);
}

static void
print_verb(FILE *out, const struct verb *verb)
{
  fprintf(out, "usage: vhdkit %s%s%s%s\n\n%c%s.\n\n", verb->name,
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
  printf("vhdkit %s\n", vhd_version());
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
    return complain_usage("%s; usage: vhdkit %s%s %s",
                          nargs < verb->min_args ? "something is missing"
                                                 : "too many arguments",
                          verb->name,
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
    fprintf(stderr, "vhdkit: cannot write the output: %s\n", strerror(errno));
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
    complain_usage("there is no verb %s; see vhdkit help", argv[0]);
    return EXIT_USAGE;
  }
  message_verb(verb->name);
  return finish(exits_resolve(run_verb(verb, argc, argv)));
}

static const struct verb_runner runner = {
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
main(int argc, char **argv)
{
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

  script_runs_by(&runner);
  argv[1] = (char *)name;
  return run_line(argc - 1, argv + 1);
}
