/* SPDX-License-Identifier: BSD-2-Clause
 *
 * SIGTERM and SIGINT while the server starts: opening images can take long, or
 * hang with their disk, and the event loop that handles signals does not run
 * yet.  A thread waits for them instead.  It tidies up, and then the signal
 * ends the process as if nobody had handled it.
 *
 * The main thread.
 */
#ifndef SERVER_KEEPER_EARLY_STOP_H
#define SERVER_KEEPER_EARLY_STOP_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

struct early_stop {
  void (*tidy)(void *opaque); /* on the thread */
  void *opaque;
  int over_fd, signal_fd;
  pthread_t thread;
  bool waits;
  sigset_t signals;
};

/* Set .tidy and .opaque.  Where there is no thread to be had, signals end the
 * process at once, as before. */
void early_stop_begin(struct early_stop *stop);
/* Signals go to the calling thread again, also those that came just now.  Once
 * more, or without a beginning, does nothing. */
void early_stop_end(struct early_stop *stop);

#endif
