/* SPDX-License-Identifier: BSD-2-Clause */
/* interrupt.h: work that writes ends in order when it is told to stop (SIGINT,
 * SIGTERM, SIGHUP): it looks at interrupt_pending() between its pieces, closes
 * what it has open, and lets the signal take its course.  That whoever reads
 * its messages or its output went first (SIGPIPE) is no reason to drop the
 * work. */
#ifndef TOOL_INTERRUPT_H
#define TOOL_INTERRUPT_H

#include <stdbool.h>

/* From here on the signals are held; once is enough. */
void interrupt_catch(void);
bool interrupt_pending(void);
/* The signal that came, or 0. */
int interrupt_signal(void);
/* In a new process: as if nothing had been caught, and none had come. */
void interrupt_release(void);
/* Nobody reads the output any more: work that has no other purpose is to end as
 * SIGPIPE would have ended it, unless that was ignored from the beginning. */
void interrupt_output_gone(void);
/* Dies of the signal that came, if one did. */
void interrupt_obey(void);

#endif
