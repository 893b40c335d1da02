/* SPDX-License-Identifier: BSD-2-Clause */
/* slow_sync.c: preloaded into a server, makes its disk one whose syncs take
 * SLOW_SYNC_US microseconds each, SLOW_SYNC_AT_ONCE at the same time (0: as
 * many as come), and nothing more: the page cache takes what is written, and
 * the real disk, whatever it is, does not show.  Syncs are fsync(), fdatasync()
 * and writes with RWF_DSYNC; no server that is measured has io_uring make any.
 * Any thread. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static long
setting(const char *name)
{
  const char *text = getenv(name);

  return text ? atol(text) : 0;
}

static sem_t free_places;
static long at_once;
static struct timespec duration;

static __attribute__((constructor)) void
begin(void)
{
  const long us = setting("SLOW_SYNC_US");

  at_once = setting("SLOW_SYNC_AT_ONCE");
  sem_init(&free_places, 0, (unsigned)at_once);
  duration.tv_sec = us / 1000000;
  duration.tv_nsec = us % 1000000 * 1000;
}

static void
wait_for_disk(void)
{
  static _Thread_local bool exact;
  const int saved = errno;

  if (!exact) /* else it may be 50 us more */
    prctl(PR_SET_TIMERSLACK, 1UL);
  exact = true;
  while (at_once > 0 && sem_wait(&free_places) < 0)
    continue;
  nanosleep(&duration, NULL);
  if (at_once > 0)
    sem_post(&free_places);
  errno = saved;
}

int
fsync(int fd)
{
  (void)fd;
  wait_for_disk();
  return 0;
}

int
fdatasync(int fd)
{
  return fsync(fd);
}

ssize_t
pwritev2(int fd, const struct iovec *iov, int niov, off_t off, int flags)
{
  static ssize_t (*real)(int, const struct iovec *, int, off_t, int);
  const int durable = flags & (RWF_DSYNC | RWF_SYNC);

  if (!real)
    *(void **)&real = dlsym(RTLD_NEXT, "pwritev2");
  const ssize_t n = real(fd, iov, niov, off, flags & ~durable);
  if (n >= 0 && durable)
    wait_for_disk();
  return n;
}

ssize_t
pwritev64v2(int fd, const struct iovec *iov, int niov, off_t off, int flags)
{
  return pwritev2(fd, iov, niov, off, flags);
}
