/* SPDX-License-Identifier: BSD-2-Clause */
/* step.c: see step.h.
 *
 * The process is a fork of one that has run no verb before, so all options are
 * at their defaults.  It is in a process group of its own: what a terminal
 * sends to all of ours comes to it only once, from here.  It ends in order when
 * we die. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exits.h"
#include "interrupt.h"
#include "message.h"
#include "step.h"

#define CHUNK 65536

enum { OUTPUT, SAID, NPIPES };

/* A step while it runs. */
struct running {
  pid_t pid;
  int pidfd;
  int fd[NPIPES]; /* to read; -1: at its end */
  struct step_text *text[NPIPES];
  bool told; /* it has been sent the signal that came */
};

/* ----------------------------------------------------------------- the step */

static void
empty_input(void)
{
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

  if (fd < 0 || dup2(fd, STDIN_FILENO) < 0)
    _exit(EXIT_FAILED);
  close(fd);
}

static void become_step(pid_t parent, const int *to, const sigset_t *mask,
                        int (*run)(int argc, char **argv), int argc,
                        char **argv) __attribute__((noreturn));

static void
become_step(pid_t parent, const int *to, const sigset_t *mask,
            int (*run)(int argc, char **argv), int argc, char **argv)
{
  setpgid(0, 0);
  /* Where the terminal is told to stop who writes to it from such a group
   * (stty tostop), a message would stop us for ever. */
  signal(SIGTTOU, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent)
    _exit(EXIT_FAILED);
  interrupt_release();
  sigprocmask(SIG_SETMASK, mask, NULL);
  empty_input();
  if (dup2(to[OUTPUT], STDOUT_FILENO) < 0)
    _exit(EXIT_FAILED);
  message_copy(to[SAID]);
  /* The place where a script was read is our parent's as well: _exit() leaves
   * it alone. */
  _exit(run(argc, argv));
}

/* ------------------------------------------------------------------ from it */

static void
keep(struct step_text *t, const char *from, size_t len)
{
  if (len > STEP_TEXT_MAX - t->len) {
    t->cut = true;
    return;
  }
  if (t->room - t->len <= len) {
    t->room = 2 * t->room + len + 1;
    t->text = realloc(t->text, t->room);
    if (t->text == NULL)
      abort();
  }
  for (size_t i = 0; i < len; i++)
    t->text[t->len++] = from[i];
  t->text[t->len] = '\0';
}

/* What has come by one of its pipes, and at its end all that is in it. */
static void
take(struct running *r, int i, bool all)
{
  static char buf[CHUNK];
  ssize_t n;

  do {
    n = read(r->fd[i], buf, sizeof buf);
    if (n > 0)
      keep(r->text[i], buf, (size_t)n);
  } while ((n > 0 && all) || (n < 0 && errno == EINTR));
  if (n > 0 || (n < 0 && errno == EAGAIN))
    return;
  close(r->fd[i]);
  r->fd[i] = -1;
}

static void
pass_signal_on(struct running *r)
{
  if (!interrupt_pending() || r->told)
    return;
  r->told = true;
  syscall(SYS_pidfd_send_signal, r->pidfd, interrupt_signal(), NULL, 0);
}

/* Until it has ended; others that it has left behind may keep its pipes. */
static void
attend(struct running *r, const sigset_t *mask)
{
  bool ended = false;

  while (!ended) {
    struct pollfd fds[NPIPES + 1] = {
      { .fd = r->fd[OUTPUT], .events = POLLIN },
      { .fd = r->fd[SAID], .events = POLLIN },
      { .fd = r->pidfd, .events = POLLIN },
    };
    pass_signal_on(r);
    if (ppoll(fds, NPIPES + 1, NULL, mask) < 0)
      continue;
    ended = fds[NPIPES].revents != 0;
    for (int i = 0; i < NPIPES; i++)
      if (fds[i].revents != 0)
        take(r, i, false);
  }
  for (int i = 0; i < NPIPES; i++)
    if (r->fd[i] >= 0)
      take(r, i, true);
}

static int
code_of(pid_t pid)
{
  int status;

  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR)
      return EXIT_FAILED;
  return WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status)
                             : WEXITSTATUS(status);
}

static bool
make_pipe(int *from, int *to)
{
  int fd[2];

  if (pipe2(fd, O_CLOEXEC) < 0)
    return false;
  fcntl(fd[0], F_SETFL, O_NONBLOCK);
  *from = fd[0];
  *to = fd[1];
  return true;
}

void
step_run(struct step *step, int (*run)(int argc, char **argv), int argc,
         char **argv)
{
  const pid_t self = getpid();
  struct running r = { .text = { &step->output, &step->said } };
  sigset_t held, mask;
  int to[NPIPES];

  *step = (struct step){ .code = EXIT_FAILED };
  for (int i = 0; i < NPIPES; i++)
    if (!make_pipe(&r.fd[i], &to[i]))
      abort();
  fflush(NULL);
  sigemptyset(&held);
  sigaddset(&held, SIGINT);
  sigaddset(&held, SIGTERM);
  sigaddset(&held, SIGHUP);
  sigprocmask(SIG_BLOCK, &held, &mask);
  r.pid = fork();
  if (r.pid == 0)
    become_step(self, to, &mask, run, argc, argv);
  for (int i = 0; i < NPIPES; i++)
    close(to[i]);
  r.pidfd = r.pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, r.pid, 0);
  if (r.pidfd < 0)
    complain_sys(errno, "no process for %s", argv[0]);
  else
    attend(&r, &mask);
  if (r.pid > 0)
    step->code = code_of(r.pid);
  if (r.pidfd >= 0)
    close(r.pidfd);
  for (int i = 0; i < NPIPES; i++)
    if (r.fd[i] >= 0)
      close(r.fd[i]);
  sigprocmask(SIG_SETMASK, &mask, NULL);
}

void
step_free(struct step *step)
{
  free(step->output.text);
  free(step->said.text);
}
