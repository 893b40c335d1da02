/* SPDX-License-Identifier: BSD-2-Clause */
/* interrupt.c: see interrupt.h. */
#include "config.h"

#include <signal.h>
#include <stddef.h>

#include "interrupt.h"

static volatile sig_atomic_t signalled;
static bool pipe_is_deadly;

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

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
  static bool caught;

  if (caught)
    return;
  caught = true;
  pipe_is_deadly = signal(SIGPIPE, SIG_IGN) == SIG_DFL;
  sigemptyset(&act.sa_mask);
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
    struct sigaction old;
    /* What was ignored (nohup) stays so. */
    if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
      sigaction(signals[i], &act, NULL);
  }
}

bool
interrupt_pending(void)
{
  return signalled != 0;
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
