/* SPDX-License-Identifier: BSD-2-Clause */
/* ties.c: what binds a worker or a helper to its keeper, and what it says and
 * hears; see keeper.h.  In the worker, but for keeper_tie(), any thread. */
#include "config.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keeper/broker/message.h"
#include "keeper/keeper.h"

void
keeper_tie(const struct keeper_ties *ties)
{
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != ties->keeper)
    _exit(EXIT_FAILURE); /* it has died before that */
}

void
keeper_say(const struct keeper_ties *ties, enum keeper_word word)
{
  const char byte = (char)word;
  ssize_t n = send(ties->control, &byte, 1, MSG_NOSIGNAL);

  (void)n; /* nobody is there: the kernel will end us */
}

void
keeper_tell(const struct keeper_ties *ties, const char *trouble)
{
  char packet[1 + KEEPER_MAX_TEXT];
  int n = snprintf(packet, sizeof packet, "%c%s", KEEPER_STATUS, trouble);
  size_t size = (size_t)n < sizeof packet ? (size_t)n : sizeof packet;
  ssize_t sent = send(ties->control, packet, size, MSG_NOSIGNAL);

  (void)sent;
}

int
keeper_hear(const struct keeper_ties *ties, int *fd)
{
  struct pollfd control = { .fd = ties->control, .events = POLLIN };
  char byte;

  *fd = -1;
  if (poll(&control, 1, 0) <= 0)
    return 0;
  const ssize_t n = message_receive(ties->control, &byte, 1, fd);
  if (n == 0)
    _exit(EXIT_FAILURE);
  return n == 1 ? byte : 0;
}
