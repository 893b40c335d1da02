/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Signals while the server starts; see early_stop.h.
 */
#include "config.h"

#include "keeper/early_stop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void
end_by(const struct early_stop *stop, int number)
{
  stop->tidy(stop->opaque);
  signal(number, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &stop->signals, NULL);
  kill(getpid(), number);
}

static void *
wait_for_signal(void *opaque)
{
  struct early_stop *stop = opaque;
  struct pollfd fds[] = {
    {.fd = stop->over_fd, .events = POLLIN},
    {.fd = stop->signal_fd, .events = POLLIN},
  };
  struct signalfd_siginfo info;

  while (poll(fds, 2, -1) >= 0 && fds[0].revents == 0) {
    if (read(stop->signal_fd, &info, sizeof info) == sizeof info) {
      end_by(stop, (int) info.ssi_signo);
    }
  }
  return NULL;
}

void
early_stop_begin(struct early_stop *stop)
{
  sigemptyset(&stop->signals);
  sigaddset(&stop->signals, SIGTERM);
  sigaddset(&stop->signals, SIGINT);
  stop->over_fd = eventfd(0, EFD_CLOEXEC);
  stop->signal_fd =
    signalfd(-1, &stop->signals, SFD_CLOEXEC | SFD_NONBLOCK);
  /* For every thread to come, too: the loops' leave signals to this one. */
  pthread_sigmask(SIG_BLOCK, &stop->signals, NULL);
  stop->waits =
    stop->over_fd >= 0 && stop->signal_fd >= 0 &&
    pthread_create(&stop->thread, NULL, wait_for_signal, stop) == 0;
  if (!stop->waits) {
    early_stop_end(stop);
  }
}

void
early_stop_end(struct early_stop *stop)
{
  if (stop->waits) {
    eventfd_write(stop->over_fd, 1);
    pthread_join(stop->thread, NULL);
    stop->waits = false;
  }
  if (stop->tidy != NULL) {
    close(stop->over_fd);
    close(stop->signal_fd);
    pthread_sigmask(SIG_UNBLOCK, &stop->signals, NULL);
    stop->tidy = NULL;
  }
}
