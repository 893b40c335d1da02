/* SPDX-License-Identifier: BSD-2-Clause */
/* thread.c: see thread.h. */
#include "config.h"

#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct start {
  const char *name;
  void (*run)(void *opaque);
  void *opaque;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned nthreads;

static void
count(int more)
{
  pthread_mutex_lock(&lock);
  nthreads += (unsigned)more;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

static void *
run(void *arg)
{
  const struct start start = *(struct start *)arg;

  free(arg);
  pthread_setname_np(pthread_self(), start.name);
  start.run(start.opaque);
  count(-1);
  return NULL;
}

int
thread_start(const char *name, void (*run_it)(void *opaque), void *opaque)
{
  struct start *start = malloc(sizeof *start);
  pthread_t thread;
  pthread_attr_t attr;

  if (!start)
    return -ENOMEM;
  *start = (struct start){ .name = name, .run = run_it, .opaque = opaque };
  count(1);
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  const int err = pthread_create(&thread, &attr, run, start);
  pthread_attr_destroy(&attr);
  if (err == 0)
    return 0;
  free(start);
  count(-1);
  return -err;
}

bool
threads_wait(unsigned sec)
{
  struct timespec until;
  int r = 0;

  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += (time_t)sec;
  pthread_mutex_lock(&lock);
  while (nthreads > 0 && r == 0)
    r = pthread_cond_timedwait(&changed, &lock, &until);
  const bool none = nthreads == 0;
  pthread_mutex_unlock(&lock);
  return none;
}
