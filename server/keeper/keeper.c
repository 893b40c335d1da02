/* SPDX-License-Identifier: BSD-2-Clause */
/* keeper.c: the keeper's life; see keeper.h.
 *
 * A worker that dies is replaced at once, one that dies again within
 * LIVED_MSEC after a growing pause.  One that ends by itself before the first
 * was ready has said what is wrong, and that is the end. */
#include "config.h"

#include "keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "keeper/broker/message.h"

#define LIVED_MSEC 5000
#define PAUSE_MSEC 100 /* before the third worker in a row; then twice that */
#define MAX_PAUSE_MSEC 10000
#define MAX_AT_ONCE 16 /* words and questions, before signals are seen to */
/* From one signal to the next that somebody sends who cannot wait: some send
 * two at once, to a process and to its group. */
#define IMPATIENT_MSEC 1000
#define MAX_HELPERS 80 /* of a worker; more than one of ours asks for */
/* Helpers that hang outlive their worker.  Where there are as many of them, the
 * next has to do with fewer. */
#define MANY_OLD 256
#define FEW_HELPERS 8

/* To a worker that has asked for a helper, and does not read at present. */
struct answer {
  bool waits;
  unsigned char result;
  int channel;
};

struct keeper {
  const struct keeper_duties *duties;
  int signals;  /* a signalfd */
  pid_t worker; /* 0: there is none */
  int control;  /* the worker's other end; -1: there is none */
  int asks;     /* likewise */
  struct answer answer;
  pid_t helpers[MAX_HELPERS]; /* the worker's, that live */
  unsigned nhelpers;
  unsigned old_helpers;         /* of workers that have ended */
  bool ready;                   /* this worker serves */
  bool was_ready;               /* one of them has */
  bool revokes;                 /* one of them has said so */
  bool troubled;                /* what they told is in force still */
  bool has_told;                /* this worker has told of trouble */
  bool says_stop;               /* as soon as the worker has room for it */
  bool says_reload;             /* likewise, thereafter, */
  struct keeper_reading reload; /* with this */
  bool reload_asked;            /* the worker waits for that */
  bool asks_stop, asks_reload;  /* it has asked for it just now */
  bool stopping;
  int64_t stopped; /* msec; when that began */
  bool over;       /* the worker has ended for good, with .status */
  int status;
  int64_t started; /* msec; when this worker was */
  int64_t due;     /* msec; when the next is, where there is none */
  unsigned deaths; /* in a row, of workers that have not lived long */
};

static const int handled[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };

static int64_t
now_msec(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
handled_signals(sigset_t *set)
{
  sigemptyset(set);
  for (size_t i = 0; i < sizeof handled / sizeof *handled; i++)
    sigaddset(set, handled[i]);
}

void
keeper_hold_signals(void)
{
  sigset_t set;

  handled_signals(&set);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_DFL); /* ignored, the end of children is not told */
}

/* --------------------------------------------------------------- the worker */

/* Signals reach whole groups of processes: from a terminal, from systemd.
 * Which of them end or reload the worker, the keeper says.  And the terminal,
 * into which who has it can type, is the keeper's alone. */
static void
become_part(const struct keeper_ties *ties, const char *name)
{
  sigset_t set;

  keeper_tie(ties);
  setsid();
  prctl(PR_SET_NAME, name, 0, 0, 0);
  signal(SIGTERM, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  handled_signals(&set);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void
shut(int *fd)
{
  if (*fd >= 0) {
    close(*fd);
    *fd = -1;
  }
}

/* ours never blocks: whom the other belongs to may not read. */
static int
make_pair(int *ours, int *other)
{
  int fds[2];

  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
    return -errno;
  fcntl(fds[0], F_SETFL, O_NONBLOCK);
  *ours = fds[0];
  *other = fds[1];
  return 0;
}

/* The keeper's own, in another process. */
static void
shut_all(struct keeper *k)
{
  shut(&k->signals);
  shut(&k->control);
  shut(&k->asks);
  shut(&k->answer.channel);
  shut(&k->reload.fd);
}

static int
start_worker(struct keeper *k)
{
  struct keeper_ties ties = {
    .keeper = getpid(),
    .control = -1,
    .asks = -1,
    .replaces = k->was_ready,
    .revokes = k->revokes,
  };
  int r = make_pair(&k->control, &ties.control);

  if (r == 0)
    r = make_pair(&k->asks, &ties.asks);
  k->started = now_msec();
  k->has_told = false;
  if (r == 0) {
    k->worker = fork();
    r = k->worker < 0 ? -errno : 0;
  }
  if (r == 0 && k->worker == 0) {
    shut_all(k);
    become_part(&ties, "vhdkitd-worker");
    exit(k->duties->work(k->duties->opaque, &ties));
  }
  shut(&ties.control);
  shut(&ties.asks);
  if (r < 0) {
    shut(&k->control);
    shut(&k->asks);
    k->worker = 0;
  }
  return r;
}

/* -------------------------------------------------------------- the helpers */

static int
start_helper(struct keeper *k, int kind, int *channel)
{
  const struct keeper_ties ties = { .keeper = getpid(),
                                    .control = -1,
                                    .asks = -1 };
  int ours;
  const unsigned room = k->old_helpers < MANY_OLD ? MAX_HELPERS : FEW_HELPERS;
  int r = k->nhelpers < room ? make_pair(&ours, channel) : -EAGAIN;

  if (r < 0)
    return r;
  fcntl(ours, F_SETFL, 0);
  pid_t pid = fork();
  if (pid == 0) {
    shut(channel);
    shut_all(k);
    become_part(&ties, "vhdkitd-helper");
    k->duties->help(k->duties->opaque, &ties, ours, kind);
    _exit(EXIT_SUCCESS);
  }
  r = pid < 0 ? -errno : 0;
  close(ours);
  if (r < 0)
    shut(channel);
  else
    k->helpers[k->nhelpers++] = pid;
  return r;
}

/* Where a descriptor cannot be sent now, what there is of it is the reason.
 * A worker that can be told nothing at all is given up: it ends when it sees
 * that the keeper does not talk to it any more. */
static void
give_answer(struct keeper *k)
{
  struct answer *a = &k->answer;
  int r = message_send(k->asks, &a->result, 1, a->channel);

  if (r < 0 && r != -EAGAIN && a->channel >= 0) {
    shut(&a->channel);
    a->result = (unsigned char)-r;
    r = message_send(k->asks, &a->result, 1, -1);
  }
  a->waits = r == -EAGAIN;
  if (!a->waits)
    shut(&a->channel);
  if (r < 0 && !a->waits) {
    shut(&k->asks);
    shut(&k->control);
  }
}

static void
hear_asks(struct keeper *k)
{
  struct answer *a = &k->answer;
  char kind;

  for (unsigned i = 0; i < MAX_AT_ONCE && k->asks >= 0 && !a->waits &&
                       recv(k->asks, &kind, 1, 0) == 1;
       i++) {
    a->channel = -1;
    a->result = (unsigned char)-start_helper(k, kind, &a->channel);
    give_answer(k);
  }
}

/* ------------------------------------------------------------------ its end */

static void
end(struct keeper *k, int status)
{
  k->over = true;
  k->status = status;
}

/* When the next worker is due; returns the pause until then, in
 * milliseconds. */
static unsigned
plan_next(struct keeper *k)
{
  const int64_t now = now_msec();
  unsigned pause = 0;

  k->deaths = now - k->started >= LIVED_MSEC ? 0 : k->deaths + 1;
  for (unsigned i = 1; i < k->deaths && pause < MAX_PAUSE_MSEC; i++)
    pause = pause == 0 ? PAUSE_MSEC : 2 * pause;
  pause = pause < MAX_PAUSE_MSEC ? pause : MAX_PAUSE_MSEC;
  k->due = now + pause;
  return pause;
}

static void
log_death(const struct keeper *k, int status, const char *next)
{
  if (WIFSIGNALED(status)) {
    log_error("the worker (process %ld) was killed by signal %d (%s)%s",
              (long)k->worker, WTERMSIG(status), strsignal(WTERMSIG(status)),
              next);
  } else {
    log_error("the worker (process %ld) ended with status %d%s",
              (long)k->worker, WEXITSTATUS(status), next);
  }
}

static void
forget_worker(struct keeper *k)
{
  shut(&k->control);
  shut(&k->asks);
  shut(&k->answer.channel);
  k->answer.waits = false;
  k->says_stop = k->says_reload = k->reload_asked = false;
  k->asks_stop = k->asks_reload = false;
  shut(&k->reload.fd);
  k->old_helpers += k->nhelpers;
  k->nhelpers = 0;
  k->ready = false;
}

static void
worker_ended(struct keeper *k, int status)
{
  const bool by_itself = WIFEXITED(status);
  const bool well = by_itself && WEXITSTATUS(status) == 0;

  forget_worker(k);
  if (well && (k->stopping || k->duties->once)) {
    end(k, EXIT_SUCCESS);
  } else if (by_itself && !well && (k->stopping || !k->was_ready)) {
    end(k, WEXITSTATUS(status)); /* it has said why */
  } else if (k->stopping || !k->was_ready || k->duties->once) {
    log_death(k, status, "");
    end(k, EXIT_FAILURE);
  } else {
    char next[64];
    snprintf(next, sizeof next, "; the next one starts in %u ms",
             plan_next(k));
    log_death(k, status, next);
  }
  k->worker = 0;
}

/* ------------------------------------------------------- signals and words */

static void
hear_trouble(struct keeper *k, const char *text)
{
  k->has_told = k->troubled = text[0] != '\0';
  k->duties->trouble(k->duties->opaque, text);
}

static void
hear_ready(struct keeper *k)
{
  k->ready = true;
  if (k->troubled && !k->has_told)
    hear_trouble(k, "");
  if (!k->was_ready) {
    k->was_ready = true;
    k->duties->ready(k->duties->opaque);
  }
}

static void
hear(struct keeper *k)
{
  char packet[1 + KEEPER_MAX_TEXT + 1];
  ssize_t n;

  for (unsigned i = 0;
       i < MAX_AT_ONCE && k->control >= 0 &&
       (n = recv(k->control, packet, sizeof packet - 1, 0)) > 0;
       i++) {
    packet[n] = '\0';
    if (packet[0] == KEEPER_READY && !k->ready)
      hear_ready(k);
    else if (packet[0] == KEEPER_STATUS)
      hear_trouble(k, packet + 1);
    else if (packet[0] == KEEPER_REVOKES)
      k->revokes = true;
    k->asks_stop |= packet[0] == KEEPER_ASK_STOP;
    k->asks_reload |= packet[0] == KEEPER_ASK_RELOAD;
  }
}

static void
helper_ended(struct keeper *k, pid_t pid)
{
  for (unsigned i = 0; i < k->nhelpers; i++) {
    if (k->helpers[i] == pid) {
      k->helpers[i] = k->helpers[--k->nhelpers];
      return;
    }
  }
  k->old_helpers -= k->old_helpers > 0;
}

static void
reap(struct keeper *k)
{
  int status;
  pid_t pid;

  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid == k->worker) {
      hear(k);
      worker_ended(k, status);
    } else {
      helper_ended(k, pid);
    }
  }
}

/* As if nobody had handled it, which would not end the first process of a
 * container. */
static void
end_by(struct keeper *k, int number)
{
  sigset_t set;

  k->duties->tidy(k->duties->opaque);
  signal(number, SIG_DFL);
  handled_signals(&set);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  kill(getpid(), number);
  _exit(128 + number);
}

/* Whether it has been said; if not, the worker has no room for it yet, or is
 * dying. */
static bool
say_stop(const struct keeper *k)
{
  const char byte = KEEPER_STOP;

  return message_send(k->control, &byte, 1, -1) == 0;
}

static void
say_all(struct keeper *k)
{
  if (k->control < 0)
    return;
  if (k->says_stop)
    k->says_stop = !say_stop(k);
  if (k->says_reload)
    k->says_reload =
      keeper_tell_reload(k->control, k->reload_asked, &k->reload) < 0;
  if (!k->says_reload) {
    shut(&k->reload.fd);
    k->reload_asked = false;
  }
}

/* A worker that is to come is born with the new configuration.  What has not
 * been said yet and is sound is said still, where this reading came to
 * nothing. */
static void
reload(struct keeper *k)
{
  struct keeper_reading now = { .fd = -1 };

  k->duties->reload(k->duties->opaque, &now);
  if (now.fd < 0) {
    now.fd = k->reload.fd;
    k->reload.fd = -1;
  }
  shut(&k->reload.fd);
  k->reload = now;
  k->says_reload = k->control >= 0;
  say_all(k);
  if (k->control < 0)
    shut(&k->reload.fd);
}

/* Before there is something to finish, and where somebody cannot wait until it
 * is finished, the signal ends everything. */
static void
stop(struct keeper *k, int number)
{
  hear(k);
  if (!k->ready || k->control < 0 ||
      (k->stopping && now_msec() - k->stopped >= IMPATIENT_MSEC))
    end_by(k, number);
  if (k->stopping)
    return;
  k->stopping = true;
  k->stopped = now_msec();
  k->duties->stopping(k->duties->opaque);
  k->says_stop = true;
  say_all(k);
}

/* What the worker has asked for. */
static void
heed(struct keeper *k)
{
  const bool stops = k->asks_stop && !k->stopping;

  if (k->asks_reload) {
    k->reload_asked = true;
    reload(k);
  }
  k->asks_stop = k->asks_reload = false;
  if (stops)
    stop(k, SIGTERM);
}

static void
take_signals(struct keeper *k)
{
  struct signalfd_siginfo info;

  while (read(k->signals, &info, sizeof info) == sizeof info) {
    switch ((int)info.ssi_signo) {
    case SIGCHLD:
      reap(k);
      break;
    case SIGHUP:
      reload(k);
      break;
    default:
      stop(k, (int)info.ssi_signo);
    }
  }
}

/* Until something happens, or the next worker is due. */
static void
wait_for_something(struct keeper *k)
{
  struct pollfd fds[] = {
    { .fd = k->signals, .events = POLLIN },
    { .fd = k->control, .events = POLLIN },
    { .fd = k->asks, .events = k->answer.waits ? POLLOUT : POLLIN },
  };
  if (k->says_stop || k->says_reload)
    fds[1].events |= POLLOUT;
  int64_t wait = k->worker != 0 ? -1 : k->due - now_msec();

  if (poll(fds, 3, wait < 0 && k->worker == 0 ? 0 : (int)wait) <= 0)
    return;
  if (fds[0].revents != 0) {
    take_signals(k); /* which may shut the others */
    return;
  }
  if (fds[1].revents & POLLOUT)
    say_all(k);
  if (fds[1].revents & POLLIN) {
    hear(k);
    heed(k);
  } else if (fds[1].revents & ~POLLOUT) {
    shut(&k->control); /* it says nothing more; its death will */
  }
  if (fds[2].revents & POLLOUT)
    give_answer(k);
  else if (fds[2].revents & POLLIN)
    hear_asks(k);
  else if (fds[2].revents != 0)
    shut(&k->asks);
}

int
keeper_run(const struct keeper_duties *duties)
{
  struct keeper k = {
    .duties = duties,
    .control = -1,
    .asks = -1,
    .answer.channel = -1,
    .reload.fd = -1,
  };
  sigset_t set;

  handled_signals(&set);
  k.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (k.signals < 0) {
    log_error("cannot wait for signals: %s", strerror(errno));
    return EXIT_FAILURE;
  }
  while (!k.over) {
    if (k.worker == 0 && now_msec() >= k.due) {
      int r = start_worker(&k);
      if (r < 0) {
        log_error("cannot start the worker: %s", strerror(-r));
        plan_next(&k);
        k.over = !k.was_ready;
        k.status = EXIT_FAILURE;
      }
    } else {
      wait_for_something(&k);
    }
  }
  if (!k.stopping)
    duties->stopping(duties->opaque);
  duties->tidy(duties->opaque);
  close(k.signals);
  return k.status;
}
