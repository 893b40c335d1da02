/* SPDX-License-Identifier: BSD-2-Clause */
/* interrupt.c: see interrupt.h. */
#include "config.h"

#include <signal.h>
#include <stddef.h>

#include "interrupt.h"

#define NSIGNALS 3

static volatile sig_atomic_t signalled;
static bool caught, pipe_is_deadly;

static const int signals[NSIGNALS] = { SIGINT, SIGTERM, SIGHUP };
static struct sigaction before[NSIGNALS];

static void
note(int sig)
{
  signalled = sig;
}

void
interrupt_catch(void)
{
  /* No SA_RESTART: a read from a pipe that brings nothing ends too.  A second
   * signal kills at once. */
  struct sigaction act = { .sa_handler = note, .sa_flags = SA_RESETHAND };

  if (caught)
    return;
  caught = true;
  pipe_is_deadly = signal(SIGPIPE, SIG_IGN) == SIG_DFL;
  sigemptyset(&act.sa_mask);
  for (size_t i = 0; i < NSIGNALS; i++)
    /* What was ignored (nohup) stays so. */
    if (sigaction(signals[i], NULL, &before[i]) == 0 &&
        before[i].sa_handler != SIG_IGN)
      sigaction(signals[i], &act, NULL);
}

void
interrupt_release(void)
{
  if (!caught)
    return;
  for (size_t i = 0; i < NSIGNALS; i++)
    sigaction(signals[i], &before[i], NULL);
  if (pipe_is_deadly)
    signal(SIGPIPE, SIG_DFL);
  caught = false;
  signalled = 0;
}

bool
interrupt_pending(void)
{
  return signalled != 0;
}

int
interrupt_signal(void)
{
  return signalled;
}

void
interrupt_output_gone(void)
{
  if (pipe_is_deadly && signalled == 0)
    signalled = SIGPIPE;
}

void
interrupt_obey(void)
{
  if (signalled == 0)
    return;
  signal(signalled, SIG_DFL);
  raise(signalled);
}
