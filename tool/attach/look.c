/* SPDX-License-Identifier: BSD-2-Clause */
/* look.c: see look.h. */
#include "config.h"

#include "attach/look.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_TIME 5000
#define PAGE 4096

/* Past all caches: they answer for a server that has gone. */
static bool
is_lost(const char *device)
{
  static uint8_t page[PAGE] __attribute__((aligned(PAGE)));
  int fd = open(device, O_RDONLY | O_CLOEXEC | O_DIRECT);
  ssize_t n = fd >= 0 ? pread(fd, page, sizeof page, 0) : -1;
  const int e = n < 0 ? errno : 0;

  if (fd >= 0)
    close(fd);
  return e == ENOTCONN || e == ECONNABORTED;
}

static void
look_inside(const char *device, struct look *look)
{
  int fd = open(device, O_RDONLY | O_CLOEXEC);
  off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;

  look->known = size > 0 && disk_look(fd, (uint64_t)size, &look->disk) == 0;
  if (fd >= 0)
    close(fd);
}

static _Noreturn void
look_and_tell(const char *device, struct look *look, int fd)
{
  const uint8_t *at = (const uint8_t *)look;

  /* Whoever reads the tool's output is not to wait for this one, which not even
   * SIGKILL ends while nbdfuse has a request of its. */
  fd = dup2(fd, STDIN_FILENO);
  syscall(SYS_close_range, 1U, ~0U, 0U);
  look->state = is_lost(device) ? LOOK_LOST : LOOK_ANSWERS;
  if (look->state == LOOK_ANSWERS)
    look_inside(device, look);
  for (size_t left = sizeof *look; left > 0;) {
    ssize_t n = write(fd, at, left);
    if (n <= 0)
      _exit(1);
    at += n;
    left -= (size_t)n;
  }
  _exit(0);
}

/* False: not in time.  What is said is short where the other one died. */
static bool
hear(int fd, struct look *look)
{
  struct pollfd said = { .fd = fd, .events = POLLIN };
  struct look heard;
  size_t len = 0;

  while (len < sizeof heard) {
    if (poll(&said, 1, LOOK_TIME) == 0)
      return false;
    ssize_t n = read(fd, (uint8_t *)&heard + len, sizeof heard - len);
    if (n == 0 || (n < 0 && errno != EINTR))
      return true;
    len += n > 0 ? (size_t)n : 0;
  }
  *look = heard;
  return true;
}

void
look_at(const struct attachment *a, struct look *look)
{
  int ends[2];

  memset(look, 0, sizeof *look);
  if (a->with == WITH_SOCKET || pipe2(ends, O_CLOEXEC) < 0)
    return;
  pid_t pid = fork();
  if (pid == 0)
    look_and_tell(a->device, look, ends[1]);
  close(ends[1]);
  if (pid > 0 && !hear(ends[0], look)) {
    look->state = LOOK_SILENT;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, WNOHANG); /* the kernel may hold it */
  } else if (pid > 0)
    waitpid(pid, NULL, 0);
  close(ends[0]);
}
