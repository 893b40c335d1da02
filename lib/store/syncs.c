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
#include <unistd.h>

#include "base/rules.h"
#include "store/syncs.h"

void
syncs_init(struct syncs *s, int fd)
{
  *s = (struct syncs){ .fd = { fd }, .n = 1, .most = 1 };
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->left, NULL);
}

void
syncs_allow_several(struct syncs *s)
{
  s->most = SYNCS_MAX;
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

/* The lock is held.  Waits for a description, one of the first `among`. */
static unsigned
take(struct syncs *s, unsigned among)
{
  for (;;) {
    for (unsigned i = 0; i < s->n && i < among; i++)
      if (!s->busy[i]) {
        s->busy[i] = true;
        return i;
      }
    s->wanted |= among > 1;
    pthread_cond_wait(&s->left, &s->lock);
  }
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

/* With the file's own description taken.  How many there will be. */
static unsigned
open_more(struct syncs *s)
{
  char path[32];
  unsigned n = 1;

  snprintf(path, sizeof path, "/proc/self/fd/%d", s->fd[0]);
  while (n < SYNCS_MAX) {
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
      break;
    s->fd[n++] = fd;
  }
  return n;
}

int
syncs_run(struct syncs *s)
{
  pthread_mutex_lock(&s->lock);
  unsigned n = 0;
  const unsigned i = take(s, SYNCS_MAX);
  const bool more = i == 0 && s->wanted && s->n < s->most;
  pthread_mutex_unlock(&s->lock);

  if (more)
    n = open_more(s);
  int result = fdatasync(s->fd[i]) < 0 ? -errno : 0;

  pthread_mutex_lock(&s->lock);
  if (more)
    s->n = s->most = n; /* it is not tried again */
  result = give_back(s, i, result);
  pthread_mutex_unlock(&s->lock);
  return result;
}

void
syncs_begin_own(struct syncs *s)
{
  pthread_mutex_lock(&s->lock);
  take(s, 1);
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
