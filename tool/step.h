/* SPDX-License-Identifier: BSD-2-Clause */
/* step.h: one verb in a process of its own, so that nothing of it, be it the
 * value of an option or a crash, reaches the next one.  What it prints and
 * complains of is kept. */
#ifndef TOOL_STEP_H
#define TOOL_STEP_H

#include <stdbool.h>
#include <stddef.h>

/* More of what a step prints is not kept. */
#define STEP_TEXT_MAX (16U << 20)

struct step_text {
  char *text; /* len bytes and a NUL; owned; NULL where there is nothing */
  size_t len, room;
  bool cut;
};

struct step {
  int code;                 /* as a shell has it: of a signal 128 and more */
  struct step_text output;  /* what went to standard output */
  struct step_text said;    /* complaints, a line each */
};

/* Runs a verb.  Its standard input is empty, its standard error ours.  A signal
 * that interrupt_catch() caught goes on to it, once, and it is waited for. */
void step_run(struct step *step, int (*run)(int argc, char **argv), int argc,
              char **argv);
void step_free(struct step *step);

#endif
