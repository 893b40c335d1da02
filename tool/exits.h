/* SPDX-License-Identifier: BSD-2-Clause */
/* exits.h: what vhdkit exits with: one number for each class of outcome that a
 * script may want to tell apart, the same for all verbs.  vhdkit(1) has the
 * table for people; tests/functional/tool-exits.py compares the two.
 *
 * A verb that fails returns EXIT_FAILED.  What becomes of that is decided by
 * the first complaint that knew why (exits_note()), so that no verb has to
 * hand errors up to its end.  The tool has one thread. */
#ifndef TOOL_EXITS_H
#define TOOL_EXITS_H

#include "vhdkit.h"

enum {
  EXIT_DONE = 0,
  EXIT_FAILED = 1,     /* for a reason without a number of its own; the answer
                        * is no; it is no VHD */
  EXIT_DAMAGED = 2,    /* an image is */
  EXIT_LEAKED = 3,     /* check: only space of a file */
  EXIT_DOUBTFUL = 4,   /* check */
  EXIT_USAGE = 5,      /* this cannot be asked for, or not in this way */
  EXIT_NOT_FOUND = 6,  /* a file, a parent */
  EXIT_DENIED = 7,     /* by permissions, or by where parents may lie */
  EXIT_IN_USE = 8,     /* another program has it: later perhaps */
  EXIT_NO_SPACE = 9,
  EXIT_REFUSED = 10,   /* something could be lost; an option allows it, or what
                        * is in the way must go first */
  EXIT_SIGNAL = 128,   /* what a shell adds to the signal that ended it */
};

/* "damaged", "in-use" and so on. */
const char *exits_class(int code);

int exits_of_errno(int sys);
int exits_of_error(const struct vhd_error *err);

/* Why the verb is going to fail; the first time counts. */
void exits_note(int code);
/* What a verb's result means to the caller of the tool. */
int exits_resolve(int status);

#endif
