/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Signals while the server starts; see early_stop.h.
 */
#include "config.h"

#include "keeper/early_stop.h"

#include <unistd.h>

static void *
wait_for_signal(void *opaque)
{
  struct early_stop *stop = opaque;
  int number;

  if (sigwait(&stop->signals, &number) == 0) {
    stop->tidy(stop->opaque);
    signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &stop->signals, NULL);
    kill(getpid(), number);
  }
  return NULL;
}

void
early_stop_begin(struct early_stop *stop)
{
  sigemptyset(&stop->signals);
  sigaddset(&stop->signals, SIGTERM);
  sigaddset(&stop->signals, SIGINT);
  /* For every thread to come, too: the loops' leave signals to this one. */
  pthread_sigmask(SIG_BLOCK, &stop->signals, NULL);
  stop->waits =
    pthread_create(&stop->thread, NULL, wait_for_signal, stop) == 0;
  if (!stop->waits) {
    pthread_sigmask(SIG_UNBLOCK, &stop->signals, NULL);
  }
}

void
early_stop_end(struct early_stop *stop)
{
  if (stop->waits) {
    pthread_cancel(stop->thread); /* while it waits, or not at all */
    pthread_join(stop->thread, NULL);
    stop->waits = false;
    pthread_sigmask(SIG_UNBLOCK, &stop->signals, NULL);
  }
}
