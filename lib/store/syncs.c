/* SPDX-License-Identifier: BSD-2-Clause */
/* syncs.c: see syncs.h.
 *
 * A description that was just opened knows nothing of errors before that.  So
 * others are opened by who has the file's own description for itself, and are
 * used when a sync upon that one has ended: whatever had failed by then has
 * failed that sync, or one before it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rules.h"
#include "store/host.h"
#include "store/syncs.h"

/* Of what is no sync of these. */
#define NOBODYS UINT64_MAX

void
syncs_init(struct syncs *s, int fd)
{
  *s = (struct syncs){ .fd = { fd }, .n = 1, .most = 1 };
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->left, NULL);
}

void
syncs_allow_several(struct syncs *s, const char *path)
{
  s->most = SYNCS_MAX;
  s->path = path;
}

void
syncs_destroy(struct syncs *s)
{
  for (unsigned i = 1; i < SYNCS_MAX; i++)
    if (s->fd[i] > 0)
      close(s->fd[i]);
  pthread_cond_destroy(&s->left);
  pthread_mutex_destroy(&s->lock);
}

/* The lock is held.  Takes a free description, one of the first `among`; -1:
 * there is none. */
static int
take(struct syncs *s, unsigned among)
{
  for (unsigned i = 0; i < s->n && i < among; i++)
    if (!s->busy[i]) {
      s->busy[i] = true;
      return (int)i;
    }
  return -1;
}

/* The lock is held.  Waits for a description to begin the sync of that number
 * with; -1: somebody else has begun it. */
static int
begin(struct syncs *s, uint64_t number)
{
  int i = take(s, SYNCS_MAX);

  s->waiting += i < 0;
  while (i < 0 && s->gathering == number) {
    s->wanted = true;
    pthread_cond_wait(&s->left, &s->lock);
    if (s->gathering == number)
      i = take(s, SYNCS_MAX);
  }
  if (i < 0)
    return -1;
  s->gathering++;
  s->waiting = 0;
  s->number[i] = number;
  return i;
}

/* The lock is held. */
static bool
is_under_way(const struct syncs *s, uint64_t number)
{
  for (unsigned i = 0; i < s->n; i++)
    if (s->busy[i] && s->number[i] == number)
      return true;
  return false;
}

/* The lock is held.  Others may wait for just this one. */
static int
give_back(struct syncs *s, unsigned i, int result)
{
  if (result < 0 && s->error == 0 && RULE(FAILED_SYNC))
    s->error = result;
  s->busy[i] = false;
  pthread_cond_broadcast(&s->left);
  return s->error < 0 ? s->error : result;
}

/* Another description of the file, which may have another name by now.  Where
 * this process may open nothing, only its host knows the file, by that name. */
static int
open_again(const struct syncs *s)
{
  const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
  struct stat own, other;
  char link[32];

  snprintf(link, sizeof link, "/proc/self/fd/%d", s->fd[0]);
  int fd = open(link, flags | O_CLOEXEC);
  if (fd >= 0 || s->path == NULL)
    return fd;
  fd = host_open(AT_FDCWD, s->path, flags, 0);
  if (fd < 0)
    return fd;
  if (fstat(s->fd[0], &own) == 0 && fstat(fd, &other) == 0 &&
      own.st_dev == other.st_dev && own.st_ino == other.st_ino)
    return fd;
  close(fd);
  return -1;
}

/* With the file's own description taken.  How many there will be. */
static unsigned
open_more(struct syncs *s)
{
  unsigned n = 1;
  int fd;

  while (n < SYNCS_MAX && (fd = open_again(s)) >= 0)
    s->fd[n++] = fd;
  return n;
}

/* A sync of the file, upon a description that has been taken. */
static int
run(struct syncs *s, unsigned i, bool more)
{
  const unsigned n = more ? open_more(s) : 0;
  const int result = fdatasync(s->fd[i]) < 0 ? -errno : 0;

  pthread_mutex_lock(&s->lock);
  if (more)
    s->n = s->most = n; /* it is not tried again */
  return give_back(s, i, result);
}

int
syncs_run(struct syncs *s)
{
  pthread_mutex_lock(&s->lock);
  const uint64_t number = s->gathering;
  const int i = begin(s, number);
  int result;

  if (i >= 0) {
    const bool more = i == 0 && s->wanted && s->n < s->most;
    pthread_mutex_unlock(&s->lock);
    result = run(s, (unsigned)i, more);
  } else {
    while (is_under_way(s, number))
      pthread_cond_wait(&s->left, &s->lock);
    result = s->error;
  }
  pthread_mutex_unlock(&s->lock);
  return result;
}

/* The lock is held. */
static bool
take_own(struct syncs *s)
{
  if (take(s, 1) < 0)
    return false;
  s->number[0] = NOBODYS;
  return true;
}

bool
syncs_try_own(struct syncs *s)
{
  pthread_mutex_lock(&s->lock);
  const bool taken = take_own(s);
  pthread_mutex_unlock(&s->lock);
  return taken;
}

void
syncs_begin_own(struct syncs *s)
{
  pthread_mutex_lock(&s->lock);
  while (!take_own(s))
    pthread_cond_wait(&s->left, &s->lock);
  pthread_mutex_unlock(&s->lock);
}

int
syncs_end_own(struct syncs *s, int result)
{
  pthread_mutex_lock(&s->lock);
  result = give_back(s, 0, result);
  pthread_mutex_unlock(&s->lock);
  return result;
}
