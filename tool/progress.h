/* SPDX-License-Identifier: BSD-2-Clause */
/* progress.h: how far long work is, on standard error where that is a
 * terminal; nothing elsewhere. */
#ifndef TOOL_PROGRESS_H
#define TOOL_PROGRESS_H

#include <stdint.h>

/* total: 0 where it is not known. */
void progress_begin(const char *what, uint64_t total);
/* Cheap enough to be called for each chunk. */
void progress_update(uint64_t done);
/* Takes the line away, so that something else can be said; it comes back with
 * the next update. */
void progress_clear(void);
void progress_end(void);

#endif
