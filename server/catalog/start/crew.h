/* SPDX-License-Identifier: BSD-2-Clause */
/* crew.h: a bounded number of threads for a number of things to be done. */
#ifndef SERVER_CATALOG_START_CREW_H
#define SERVER_CATALOG_START_CREW_H

#include <stddef.h>

/* Calls one(opaque, i) for each i below n, in about that order, by as many as
 * `threads` threads at a time, of which the caller is one; returns when all is
 * done.  Fewer threads, where no more can be had. */
void crew_run(unsigned threads, size_t n, void (*one)(void *opaque, size_t i),
              void *opaque);

#endif
