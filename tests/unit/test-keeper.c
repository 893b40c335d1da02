/* SPDX-License-Identifier: BSD-2-Clause */
/* test-keeper.c: the keeper's life with workers of our own: each case is a
 * keeper in a process of its own, whose workers do what vhdkitd's would not. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
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

/* Tells what came with a word. */
static void
tell_of(int fd)
{
  char byte;

  if (fd >= 0) {
    tell(read(fd, &byte, 1) == 1 ? byte : '?');
    close(fd);
  }
}

/* Until the keeper says that it is to stop. */
static int
serve(const struct keeper_ties *ties)
{
  struct pollfd fds = { .fd = ties->control, .events = POLLIN };
  struct keeper_heard heard;

  while (keeper_hear(ties, &heard) != KEEPER_STOP) {
    tell_of(heard.reading.fd);
    poll(&fds, 1, -1);
  }
  return EXIT_SUCCESS;
}

/* -------------------------------------------------------------- its duties */

static void
nothing(void *opaque)
{
  (void)opaque;
}

/* The next letter, each time. */
static void
reload(void *opaque, struct keeper_reading *reading)
{
  static char next = 'a';
  int fds[2];

  (void)opaque;
  if (pipe(fds) < 0 || write(fds[1], &next, 1) != 1)
    abort();
  next++;
  close(fds[1]);
  reading->fd = fds[0];
}

static void
ignore(void *opaque, const char *text)
{
  (void)opaque;
  (void)text;
}

/* Opens whatever it is asked for; but for what lies below a folder called
 * hung... it waits without end, and what is called last is its last. */
static void
help(void *opaque, const struct keeper_ties *ties, int channel, int kind)
{
  const struct broker_answer fine = { .result = 0 };
  struct broker_request request;
  int fd;

  (void)opaque;
  (void)ties;
  (void)kind;
  while (message_receive(channel, &request, sizeof request, &fd) ==
         (ssize_t)sizeof request) {
    while (strncmp(request.path, "hung", 4) == 0)
      pause();
    if (message_send(channel, &fine, sizeof fine, channel) < 0 ||
        strcmp(request.path, "last") == 0)
      break;
  }
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
    .reload = reload,
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

/* ------------------------------------------------------------- a new world */

static int
say_ready(void *opaque, const struct keeper_ties *ties)
{
  (void)opaque;
  keeper_say(ties, KEEPER_READY);
  tell('r');
  return serve(ties);
}

static void
what_was_read_again_comes_to_the_worker(void **state)
{
  (void)state;
  pid_t keeper = keep(say_ready);
  await_told('r');
  for (char want = 'a'; want <= 'z'; want++) {
    assert_int_equal(kill(keeper, SIGHUP), 0);
    await_told(want);
  }
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

/* ------------------------------------------------------------------ helpers */

#define HUNG_THREADS 100

static bool
opens(const char *path)
{
  const struct vhd_host *host = vhd_host();
  int fd = host->open(host->opaque, AT_FDCWD, path, O_RDONLY, 0);

  if (fd >= 0)
    close(fd);
  return fd >= 0;
}

static void *
open_one(void *opaque)
{
  opens(opaque);
  return NULL;
}

/* Opens all that, each on a thread of its own, which never comes back. */
static void
hang(char (*path)[16], unsigned n)
{
  pthread_t thread;

  for (unsigned i = 0; i < n; i++)
    if (pthread_create(&thread, NULL, open_one, path[i]) == 0)
      pthread_detach(thread);
}

/* Until there are so many; the keeper is our parent. */
static void
await_helpers(pid_t keeper, unsigned n)
{
  char path[64], text[4096];

  snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)keeper,
           (long)keeper);
  for (unsigned found = 0; found < n + 1;) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd < 0 || len < 0)
      return;
    close(fd);
    found = 0;
    for (ssize_t i = 0; i < len; i++)
      found += text[i] == ' ';
    usleep(10000);
  }
}

static int
open_beside_what_hangs(void *opaque, const struct keeper_ties *ties)
{
  static char path[HUNG_THREADS][16];
  struct vhd_error err;

  (void)opaque;
  if (broker_begin(ties->asks, &err) < 0)
    return EXIT_FAILURE;
  keeper_say(ties, KEEPER_READY);
  for (unsigned i = 0; i < HUNG_THREADS; i++)
    snprintf(path[i], sizeof *path, "hung/%u", i);
  hang(path, HUNG_THREADS);
  await_helpers(ties->keeper, 8);
  usleep(200000); /* for one too many to be started */
  tell(opens("fine/disk") ? 'o' : '-');
  return serve(ties);
}

static void
a_folder_that_hangs_takes_a_few_helpers(void **state)
{
  (void)state;
  pid_t keeper = keep(open_beside_what_hangs);
  await_told('o');
  stop(keeper);
}

static int
open_by_the_dead(void *opaque, const struct keeper_ties *ties)
{
  struct vhd_error err;

  (void)opaque;
  if (broker_begin(ties->asks, &err) < 0)
    return EXIT_FAILURE;
  keeper_say(ties, KEEPER_READY);
  for (unsigned i = 0; i < 5; i++) {
    tell(opens("last") ? 'l' : '-');
    usleep(10000);
    tell(opens("fine/disk") ? 'o' : '-');
  }
  return serve(ties);
}

static void
a_helper_that_died_is_replaced(void **state)
{
  (void)state;
  pid_t keeper = keep(open_by_the_dead);
  for (unsigned i = 0; i < 5; i++) {
    await_told('l');
    await_told('o');
  }
  stop(keeper);
}

static int
leave_helpers_behind(void *opaque, const struct keeper_ties *ties)
{
  static char path[64][16];
  struct vhd_error err;

  (void)opaque;
  if (broker_begin(ties->asks, &err) < 0)
    return EXIT_FAILURE;
  keeper_say(ties, KEEPER_READY);
  tell(opens("fine/disk") ? 'o' : '-');
  if (getppid() != ties->keeper || ties->replaces)
    return serve(ties);
  for (unsigned i = 0; i < 64; i++)
    snprintf(path[i], sizeof *path, "hung%u/x", i);
  hang(path, 64);
  await_helpers(ties->keeper, 60);
  raise(SIGKILL);
  return EXIT_FAILURE;
}

static void
who_hangs_does_not_count_for_the_next_worker(void **state)
{
  (void)state;
  pid_t keeper = keep(leave_helpers_behind);
  await_told('o');
  await_told('o');
  stop(keeper);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_end_that_nobody_asked_for_is_a_death),
    cmocka_unit_test(what_was_read_again_comes_to_the_worker),
    cmocka_unit_test(an_answer_that_cannot_be_sent_says_why),
    cmocka_unit_test(a_folder_that_hangs_takes_a_few_helpers),
    cmocka_unit_test(a_helper_that_died_is_replaced),
    cmocka_unit_test(who_hangs_does_not_count_for_the_next_worker),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
