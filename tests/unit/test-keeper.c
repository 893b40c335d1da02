/* SPDX-License-Identifier: BSD-2-Clause */
/* test-keeper.c: the keeper's life with workers of our own: each case is a
 * keeper in a process of its own, whose workers do what vhdkitd's would not. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/broker/broker.h"
#include "keeper/broker/message.h"
#include "keeper/keeper.h"

#define NOBODY 65534
#define PATIENCE_MSEC 30000

static int report[2]; /* what the workers tell the test, a byte at a time */

static void
tell(char byte)
{
  ssize_t n = write(report[1], &byte, 1);

  (void)n;
}

static void
await_told(char byte)
{
  struct pollfd fds = { .fd = report[0], .events = POLLIN };
  char got = 0;

  assert_int_equal(poll(&fds, 1, PATIENCE_MSEC), 1);
  assert_int_equal(read(report[0], &got, 1), 1);
  assert_int_equal(got, byte);
}

/* Until the keeper says that it is to stop. */
static int
serve(const struct keeper_ties *ties)
{
  struct pollfd fds = { .fd = ties->control, .events = POLLIN };

  while (keeper_hear(ties) != KEEPER_STOP)
    poll(&fds, 1, -1);
  return EXIT_SUCCESS;
}

/* ---------------------------------------------------------------- its duties */

static void
nothing(void *opaque)
{
  (void)opaque;
}

static void
ignore(void *opaque, const char *text)
{
  (void)opaque;
  (void)text;
}

/* Lives as long as its channel. */
static void
help(void *opaque, const struct keeper_ties *ties, int channel, int kind)
{
  char byte;

  (void)opaque;
  (void)ties;
  (void)kind;
  while (recv(channel, &byte, 1, 0) > 0)
    ;
}

typedef int worker(void *opaque, const struct keeper_ties *ties);

static pid_t
keep(worker *work)
{
  const struct keeper_duties duties = {
    .work = work,
    .help = help,
    .ready = nothing,
    .stopping = nothing,
    .trouble = ignore,
    .tidy = nothing,
  };

  assert_int_equal(pipe(report), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    keeper_hold_signals();
    _exit(keeper_run(&duties));
  }
  return pid;
}

/* It must end in order. */
static void
stop(pid_t keeper)
{
  int status;

  assert_int_equal(kill(keeper, SIGTERM), 0);
  assert_int_equal(waitpid(keeper, &status, 0), keeper);
  assert_int_equal(status, 0);
  close(report[0]);
  close(report[1]);
}

/* ------------------------------------------------------------------ an end */

static int
end_unasked(void *opaque, const struct keeper_ties *ties)
{
  (void)opaque;
  keeper_say(ties, KEEPER_READY);
  if (!ties->replaces)
    return EXIT_SUCCESS;
  tell('2');
  return serve(ties);
}

static void
an_end_that_nobody_asked_for_is_a_death(void **state)
{
  (void)state;
  pid_t keeper = keep(end_unasked);
  await_told('2');
  stop(keeper);
}

/* ------------------------------------------------------------------ answers */

/* As many descriptors under way as the user may have, and more. */
static bool
put_under_way(int pair[2])
{
  int fds[40];

  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
    return false;
  for (int i = 0; i < 40; i++)
    fds[i] = pair[0];
  for (int i = 0; i < 2; i++) {
    char byte = 0;
    union {
      struct cmsghdr align;
      char bytes[CMSG_SPACE(sizeof fds)];
    } control = { .bytes = "" };
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = {
      .msg_iov = &iov,
      .msg_iovlen = 1,
      .msg_control = control.bytes,
      .msg_controllen = sizeof control.bytes,
    };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(cmsg), fds, sizeof fds);
    if (sendmsg(pair[0], &msg, 0) < 0)
      return false;
  }
  return true;
}

static int
ask_in_want(void *opaque, const struct keeper_ties *ties)
{
  struct vhd_error err;
  int pair[2];

  (void)opaque;
  keeper_say(ties, KEEPER_READY);
  tell(put_under_way(pair) ? 'u' : '-');
  tell(broker_begin(ties->asks, &err) == -ETOOMANYREFS ? 'e' : '-');
  close(pair[0]);
  close(pair[1]);
  tell(broker_begin(ties->asks, &err) == 0 ? 'h' : '-');
  broker_end();
  return serve(ties);
}

/* The limit does not count for root. */
static void
an_answer_that_cannot_be_sent_says_why(void **state)
{
  const struct rlimit few = { 64, 64 };
  int status;

  (void)state;
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    if (setrlimit(RLIMIT_NOFILE, &few) < 0 ||
        (getuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)))
      _exit(EXIT_FAILURE);
    pid_t keeper = keep(ask_in_want);
    await_told('u');
    await_told('e');
    await_told('h');
    stop(keeper);
    _exit(EXIT_SUCCESS);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_end_that_nobody_asked_for_is_a_death),
    cmocka_unit_test(an_answer_that_cannot_be_sent_says_why),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
