/* SPDX-License-Identifier: BSD-2-Clause */
/* script.c: vhdkit script.  A verb a line, each in a process of its own
 * (step.h), and a line of JSON for each.
 *
 * A file is read twice: what of it cannot be understood is found before its
 * first line is obeyed.  What comes through a pipe is obeyed as it comes. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "interrupt.h"
#include "json.h"
#include "message.h"
#include "step.h"
#include "verbs.h"
#include "words.h"

/* Editors of Windows begin a file with it. */
#define BOM "\xef\xbb\xbf"
#define LINE_MAX_BYTES 65536
#define WORDS_MAX 1024

static bool keep_going;

static const struct option_spec options[] = {
  { .name = "keep-going", .kind = OPTION_FLAG, .value = &keep_going,
    .help = "go on after a step that fails" },
  { .name = NULL },
};

static const struct verb_runner *runner;

struct script {
  FILE *file;
  off_t begin; /* where in the file it begins: others may have read before */
  uint64_t line, steps;
  int status;  /* the first that was not EXIT_DONE */
  int unheard; /* errno: its output cannot be written; or 0 */
  /* The line that was read last. */
  char text[LINE_MAX_BYTES];
  char *word[WORDS_MAX];
  int nwords;
  const char *fault; /* why it cannot be obeyed; or NULL */
};

void
script_runs_by(const struct verb_runner *by)
{
  runner = by;
}

/* ------------------------------------------------------------------ reading */

/* The rest of a line that is too long is no line of its own. */
static void
skip_line(FILE *file)
{
  int c;

  do
    c = getc(file);
  while (c != '\n' && c != EOF);
}

/* Reads the next line; false: there is none. */
static bool
read_line(struct script *s)
{
  size_t len = 0;
  int c = EOF;

  while (len + 1 < sizeof s->text && !interrupt_pending() &&
         (c = getc(s->file)) != EOF && c != '\n')
    s->text[len++] = (char)c;
  s->text[len] = '\0';
  if (interrupt_pending() || (c == EOF && len == 0))
    return false;
  s->fault = NULL;
  if (s->line == 0 && strncmp(s->text, BOM, strlen(BOM)) == 0)
    memset(s->text, ' ', strlen(BOM));
  if (c != '\n' && c != EOF) {
    s->fault = "it is too long";
    skip_line(s->file);
  } else if (memchr(s->text, '\0', len) != NULL) {
    s->fault = "it has a byte 0 in it";
  }
  s->line++;
  return true;
}

static void
understand(struct script *s)
{
  s->nwords = 0;
  if (s->fault == NULL)
    s->nwords = words_split(s->text, s->word, WORDS_MAX, &s->fault);
  if (s->nwords <= 0)
    return;
  if (!runner->is_verb(s->word[0]))
    s->fault = "there is no such verb";
  else if (strcmp(s->word[0], script_verb.name) == 0)
    s->fault = "a script runs no other";
}

/* The next line that has something on it, or is at fault. */
static bool
next(struct script *s)
{
  while (read_line(s)) {
    understand(s);
    if (s->nwords != 0 || s->fault != NULL)
      return true;
  }
  return false;
}

static bool
is_understood(struct script *s)
{
  while (next(s))
    if (s->fault != NULL) {
      complain_usage("line %" PRIu64 ": %s; nothing was done", s->line,
                     s->fault);
      return false;
    }
  s->line = 0;
  clearerr(s->file);
  if (fseeko(s->file, s->begin, SEEK_SET) == 0)
    return true;
  complain_sys(errno, "cannot read again; nothing was done");
  return false;
}

/* ------------------------------------------------------------------ obeying */

/* What the step has printed, as JSON if it is some, else as text. */
static void
put_output(struct json *top, const struct step_text *output)
{
  struct json *value;

  if (output->cut) {
    json_put_null(top, "output");
    return;
  }
  if (output->len == 0)
    return;
  value = json_read(output->text, output->len);
  if (value != NULL)
    json_put(top, "output", value);
  else if (memchr(output->text, '\0', output->len) == NULL)
    json_put_string(top, "output", output->text);
  else
    json_put_null(top, "output");
}

static void
put_messages(struct json *top, char *text)
{
  struct json *messages = json_array_new();

  for (char *at = text, *line; (line = strsep(&at, "\n")) != NULL;)
    if (*line != '\0')
      json_add_string(messages, line);
  json_put(top, "messages", messages);
}

static struct json *
begin_report(const struct script *s)
{
  struct json *top = json_object_new();
  struct json *command = json_array_new();

  json_put_int(top, "step", s->steps);
  json_put_int(top, "line", s->line);
  for (int i = 0; i < s->nwords; i++)
    json_add_string(command, s->word[i]);
  json_put(top, "command", command);
  return top;
}

static void
end_report(struct script *s, struct json *top, int code, char *messages)
{
  json_put_int(top, "exit", (uint64_t)code);
  json_put_string(top, "class", exits_class(code));
  put_messages(top, messages);
  if (s->status == EXIT_DONE)
    s->status = code;
}

static void
put_line(struct script *s, struct json *top)
{
  errno = 0;
  json_print_line(top, stdout);
  if (ferror(stdout))
    s->unheard = errno != 0 ? errno : EIO;
}

static int
obey(struct script *s)
{
  struct json *top;
  struct step step;

  s->steps++;
  top = begin_report(s);
  if (s->fault != NULL) {
    char *fault = strdup(s->fault);
    if (fault == NULL)
      abort();
    complain("line %" PRIu64 ": %s", s->line, s->fault);
    end_report(s, top, EXIT_USAGE, fault);
    put_line(s, top);
    free(fault);
    return EXIT_USAGE;
  }
  step_run(&step, runner->run, s->nwords, s->word);
  if (step.code > EXIT_SIGNAL)
    complain("line %" PRIu64 ": ended by signal %d", s->line,
             step.code - EXIT_SIGNAL);
  end_report(s, top, step.code, step.said.text);
  put_output(top, &step.output);
  put_line(s, top);
  step_free(&step);
  return step.code;
}

/* Has the line arrived?  Where nobody learns what was done, nothing more is. */
static bool
is_heard(struct script *s)
{
  if (s->unheard == 0)
    return true;
  if (s->unheard == EPIPE)
    interrupt_output_gone();
  if (!interrupt_pending()) {
    complain_sys(s->unheard, "cannot write the output, behind line %" PRIu64,
                 s->line);
    s->status = EXIT_FAILED;
  }
  return false;
}

static int
obey_all(struct script *s)
{
  while (!interrupt_pending() && next(s))
    if ((obey(s) != EXIT_DONE && !keep_going) || !is_heard(s))
      break;
  return s->status;
}

static int
run_file(FILE *file)
{
  static struct script s;
  struct stat st;

  s.file = file;
  s.begin = ftello(file);
  if (fstat(fileno(file), &st) == 0 && S_ISREG(st.st_mode) &&
      !is_understood(&s))
    return EXIT_FAILED;
  const int status = obey_all(&s);
  if (!interrupt_pending() && ferror(file)) {
    complain_sys(errno, "cannot read on behind line %" PRIu64, s.line);
    return EXIT_FAILED;
  }
  return status;
}

static int
run(char **args)
{
  const bool named = args[0] != NULL && strcmp(args[0], "-") != 0;
  FILE *file = named ? fopen(args[0], "re") : stdin;

  if (file == NULL) {
    complain_sys(errno, "%s: cannot open", args[0]);
    return EXIT_FAILED;
  }
  interrupt_catch();
  const int status = run_file(file);
  if (named)
    fclose(file);
  interrupt_obey();
  return status;
}

const struct verb script_verb = {
  .name = "script",
  .summary = "run a verb a line, from a file or standard input",
  .arguments = "[FILE]",
  .max_args = 1,
  .options = { options },
  .about = "For each a line of JSON is printed.  It ends at the first that "
           "fails.",
  .run = run,
};
