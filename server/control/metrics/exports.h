/* SPDX-License-Identifier: BSD-2-Clause */
/* exports.h: what is counted of exports that are open: those that have been
 * closed, and what was counted of them, are gone.  On the main thread. */
#ifndef SERVER_CONTROL_METRICS_EXPORTS_H
#define SERVER_CONTROL_METRICS_EXPORTS_H

#include <stdbool.h>
#include <stdio.h>

struct catalog;

/* False: memory is short, and something is missing. */
bool metrics_tell_exports(FILE *out, struct catalog *catalog);

#endif
