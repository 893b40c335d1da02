/* SPDX-License-Identifier: BSD-2-Clause */
/* trial.c: see trial.h.  The other process says by a pipe that it has come to
 * the end: how a child ended is not told to who ignores SIGCHLD. */
#include "config.h"

#include "config/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAYS (STDERR_FILENO + 1)

static void try(int fd, void (*run)(void *opaque), void *opaque)
  __attribute__((noreturn));

/* Should it hang where not even SIGKILL reaches it, it has nothing of ours. */
static void
try(int fd, void (*run)(void *opaque), void *opaque)
{
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (fd != SAYS && dup2(fd, SAYS) < 0)
    _exit(1);
#ifdef SYS_close_range
  syscall(SYS_close_range, (unsigned)SAYS + 1, ~0U, 0U);
#endif
  run(opaque);
  const ssize_t n = write(SAYS, "", 1);
  _exit(n == 1 ? 0 : 1);
}

static int
hear(int fd, int msec)
{
  struct pollfd says = { .fd = fd, .events = POLLIN };
  char byte;
  int n;

  do
    n = poll(&says, 1, msec);
  while (n < 0 && errno == EINTR);
  return n == 0 ? -ETIMEDOUT : read(fd, &byte, 1) == 1 ? 0 : -ECANCELED;
}

int
trial_run(void (*run)(void *opaque), void *opaque, int msec)
{
  int fd[2];

  if (pipe2(fd, O_CLOEXEC) < 0)
    return -errno;
  const pid_t pid = fork();
  if (pid == 0)
    try(fd[1], run, opaque);
  int r = pid < 0 ? -errno : 0;
  close(fd[1]);
  if (r == 0)
    r = hear(fd[0], msec);
  close(fd[0]);
  if (pid > 0) {
    kill(pid, SIGKILL);
    /* One that hangs is waited for by nobody, or by the keeper. */
    waitpid(pid, NULL, r == -ETIMEDOUT ? WNOHANG : 0);
  }
  return r;
}
