/* SPDX-License-Identifier: BSD-2-Clause */
/* crew.c: see crew.h. */
#include "config.h"

#include "catalog/start/crew.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define MAX_THREADS 32

struct crew {
  size_t n;
  void (*one)(void *opaque, size_t i);
  void *opaque;
  atomic_size_t next;
};

static void *
work(void *arg)
{
  struct crew *crew = arg;
  size_t i;

  while ((i = atomic_fetch_add(&crew->next, 1)) < crew->n)
    crew->one(crew->opaque, i);
  return NULL;
}

void
crew_run(unsigned threads, size_t n, void (*one)(void *opaque, size_t i),
         void *opaque)
{
  struct crew crew = { .n = n, .one = one, .opaque = opaque };
  pthread_t thread[MAX_THREADS];
  unsigned started = 0;
  sigset_t all, old;

  /* Signals are the main thread's business. */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  while (started + 1 < threads && started < MAX_THREADS && started + 1 < n &&
         pthread_create(&thread[started], NULL, work, &crew) == 0)
    started++;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  work(&crew);
  while (started > 0)
    pthread_join(thread[--started], NULL);
}
