/* SPDX-License-Identifier: BSD-2-Clause */
/* thread.h: threads that nobody joins, each for one thing that may take long.
 * They are counted, so that who ends the process can wait for them.  Any
 * thread. */
#ifndef SERVER_BASE_THREAD_H
#define SERVER_BASE_THREAD_H

#include <stdbool.h>

/* name: 15 bytes at most.  0 or -errno. */
int thread_start(const char *name, void (*run)(void *opaque), void *opaque);

/* Waits until none of them is left, so many seconds at most; whether that is
 * so. */
bool threads_wait(unsigned sec);

#endif
