/* SPDX-License-Identifier: BSD-2-Clause */
/* progress.h: how far long work is, on standard error: a bar for people where
 * that is a terminal, lines of JSON for programs that ask for them.  And with
 * it how such work ends when a signal comes. */
#ifndef TOOL_PROGRESS_H
#define TOOL_PROGRESS_H

#include <stdint.h>

#include "options.h"
#include "vhdkit.h"

/* --progress */
extern const struct option_spec progress_options[];

/* For the options of a long operation of the library: catches the signals
 * (interrupt.h), shows how far it is, and cancels it once a signal came.  what:
 * the verb as a participle, "converted". */
struct vhd_progress progress_of(const char *what);

/* The same for loops of our own.  total: 0 where it is not known. */
void progress_begin(const char *what, uint64_t total);
/* Cheap enough to be called for each chunk. */
void progress_update(uint64_t done);
/* Takes the line away, so that something else can be said; it comes back with
 * the next update. */
void progress_clear(void);
/* Needed after both; further calls are none. */
void progress_end(void);

#endif
