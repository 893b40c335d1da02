/* SPDX-License-Identifier: BSD-2-Clause */
/* ending.h: what detach and unmount do. */
#ifndef TOOL_ATTACH_ENDING_H
#define TOOL_ATTACH_ENDING_H

#include <stdbool.h>

/* Ends what is meant by the name; mounted: only if it is mounted.  Complains
 * and returns -1 where it stays. */
int ending_run(const char *name, bool mounted, bool force);

#endif
