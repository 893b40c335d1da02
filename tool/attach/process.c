/* SPDX-License-Identifier: BSD-2-Clause */
/* process.c: see process.h. */
#include "config.h"

#include "attach/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "message.h"

/* -------------------------------------------------------- finding programs */

static char *
in_folders(const char *folders, const char *name)
{
  while (folders && *folders != '\0') {
    size_t len = strcspn(folders, ":");
    char *path;
    if (asprintf(&path, "%.*s/%s", (int)len, folders, name) < 0)
      abort();
    if (path[0] == '/' && access(path, X_OK) == 0)
      return path;
    free(path);
    folders += len + (folders[len] == ':');
  }
  return NULL;
}

static char *
find(const char *name, const char *variable)
{
  const char *given = variable ? getenv(variable) : NULL;
  char *path = NULL;

  if (given && *given != '\0')
    return realpath(given, NULL);
  if (variable)
    path = in_folders(SBINDIR, name);
  if (!path)
    path = in_folders(getenv("PATH"), name);
  return path ? path : in_folders("/usr/sbin:/sbin:/usr/bin:/bin", name);
}

char *
process_find(const char *name, const char *variable)
{
  char *path = find(name, variable);

  if (!path)
    complain_as(EXIT_NOT_FOUND, "%s is not installed, or not in PATH%s%s", name,
                variable ? "; its path can be given as $" : "",
                variable ? variable : "");
  return path;
}

bool
process_is_there(const char *name)
{
  char *path = find(name, NULL);

  free(path);
  return path != NULL;
}

/* ------------------------------------------------------------ who a pid is */

/* When it began; 0 where there is none. */
static uint64_t
start_of(pid_t pid)
{
  char path[40], text[1024];
  unsigned long long start;

  snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  text[n > 0 ? n : 0] = '\0';
  /* The name, in parentheses, may hold anything; the 22nd field is the 20th
   * behind it. */
  const char *at = strrchr(text, ')');
  for (int i = 0; at && i < 20; i++) {
    at = strchr(at, ' ');
    at = at ? at + 1 : NULL;
  }
  return at && sscanf(at, "%llu", &start) == 1 ? start : 0;
}

int
process_open(const struct process *process)
{
  if (process->pid <= 0)
    return -1;
  int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
  if (fd < 0)
    return -1;
  /* What the descriptor names cannot change any more. */
  struct pollfd ended = { .fd = fd, .events = POLLIN };
  if (start_of(process->pid) == process->start && poll(&ended, 1, 0) == 0)
    return fd;
  close(fd);
  return -1;
}

bool
process_is_alive(const struct process *process)
{
  int fd = process_open(process);

  if (fd >= 0)
    close(fd);
  return fd >= 0;
}

static int64_t
now(void)
{
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool
process_end(const struct process *process, int sig, int milliseconds)
{
  int64_t until = now() + milliseconds;
  struct pollfd ended = { .fd = process_open(process), .events = POLLIN };
  int r = 0;

  if (ended.fd < 0)
    return true;
  if (sig != 0)
    syscall(SYS_pidfd_send_signal, ended.fd, sig, NULL, 0);
  for (int64_t left = milliseconds; r == 0 && left > 0; left = until - now()) {
    r = poll(&ended, 1, (int)left);
    if (r < 0 && errno == EINTR)
      r = 0;
  }
  close(ended.fd);
  /* One of ours is not to stay as a zombie; another is none of ours. */
  waitpid(process->pid, NULL, WNOHANG);
  return r > 0;
}

/* --------------------------------------------------------- making processes */

static void
take_default_signals(void)
{
  sigset_t none;

  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  for (int sig = 1; sig < NSIG; sig++)
    signal(sig, SIG_DFL);
}

static void
take_standard_files(int out)
{
  int null = open("/dev/null", O_RDWR);

  if (null < 0 || dup2(out, STDOUT_FILENO) < 0 ||
      dup2(out, STDERR_FILENO) < 0 || dup2(null, STDIN_FILENO) < 0)
    _exit(127);
  syscall(SYS_close_range, 3U, ~0U, 0U);
}

static _Noreturn void
become(const char *const *argv)
{
  execv(argv[0], (char *const *)argv);
  dprintf(STDERR_FILENO, "error: cannot start %s: %s\n", argv[0],
          strerror(errno));
  _exit(127);
}

static _Noreturn void
be_daemon(const char *const *argv, int log, const char *notify, int wait)
{
  char byte;

  setsid();
  take_default_signals();
  if (read(wait, &byte, 1) != 1)
    _exit(127);
  umask(077);
  if (chdir("/") < 0)
    _exit(127);
  unsetenv("LISTEN_FDS");
  unsetenv("LISTEN_PID");
  unsetenv("NOTIFY_SOCKET");
  if (notify)
    setenv("NOTIFY_SOCKET", notify, 1);
  take_standard_files(log);
  become(argv);
}

int
process_prepare(const char *const *argv, int log, const char *notify,
                struct process *process, int *go)
{
  int ends[2];

  if (pipe2(ends, O_CLOEXEC) < 0) {
    complain("no pipe: %s", strerror(errno));
    return -1;
  }
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[1]);
    be_daemon(argv, log, notify, ends[0]);
  }
  close(ends[0]);
  if (pid < 0) {
    complain("cannot start %s: %s", argv[0], strerror(errno));
    close(ends[1]);
    return -1;
  }
  *process = (struct process){ .pid = pid, .start = start_of(pid) };
  *go = ends[1];
  return 0;
}

void
process_begin(int go)
{
  /* SIGPIPE is ignored: see interrupt_catch(). */
  ssize_t n = write(go, "", 1);

  (void)n; /* one that is dead is found to be */
  close(go);
}

static void
collect(int fd, char *text, size_t size)
{
  char rest[256];
  size_t len = 0;
  ssize_t n;

  do {
    bool full = len + 1 >= size;
    n = read(fd, full ? rest : text + len, full ? sizeof rest : size - 1 - len);
    if (n > 0 && !full)
      len += (size_t)n;
  } while (n > 0 || (n < 0 && errno == EINTR));
  while (len > 0 && text[len - 1] == '\n')
    len--;
  text[len] = '\0';
}

int
process_run(const char *const *argv, char *text, size_t size)
{
  int ends[2], status;

  text[0] = '\0';
  if (pipe2(ends, O_CLOEXEC) < 0)
    return -1;
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    /* What ends the tool must not leave half of what this does. */
    setsid();
    take_default_signals();
    take_standard_files(ends[1]);
    become(argv);
  }
  close(ends[1]);
  if (pid > 0)
    collect(ends[0], text, size);
  close(ends[0]);
  if (pid < 0)
    return -1;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR)
      return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
