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

/* A word to the worker is a packet: the word, of a RELOAD a byte of these, and
 * its text. */
#define PACKET (2 + KEEPER_MAX_TEXT - 1)
enum {
  IS_ASKED = 1,
  IS_WRONG = 2,
};

int
keeper_tell_reload(int control, bool asked,
                   const struct keeper_reading *reading)
{
  char packet[PACKET + 1];
  const int flags = (asked ? IS_ASKED : 0) | (reading->wrong ? IS_WRONG : 0);
  const int n = snprintf(packet, sizeof packet, "%c%c%s", KEEPER_RELOAD,
                         '0' | flags, reading->text);

  return message_send(control, packet, (size_t)n, reading->fd);
}

int
keeper_hear(const struct keeper_ties *ties, struct keeper_heard *heard)
{
  struct pollfd control = { .fd = ties->control, .events = POLLIN };
  struct keeper_reading *reading = &heard->reading;
  char packet[PACKET + 1];

  *heard = (struct keeper_heard){ .reading.fd = -1 };
  if (poll(&control, 1, 0) <= 0)
    return 0;
  const ssize_t n =
    message_receive(ties->control, packet, PACKET, &reading->fd);
  if (n == 0)
    _exit(EXIT_FAILURE);
  if (n < 0)
    return 0;
  packet[n] = '\0';
  heard->word = packet[0];
  if (n > 1) {
    heard->asked = packet[1] & IS_ASKED;
    reading->wrong = packet[1] & IS_WRONG;
    snprintf(reading->text, sizeof reading->text, "%s", packet + 2);
  }
  return heard->word;
}
