/* SPDX-License-Identifier: BSD-2-Clause */
/* queue.c: the threads of one export.
 *
 * Threads are started when work waits and none is idle, up to
 * IO_QUEUE_THREADS, and leave when there has been nothing to do for a while: an
 * idle export has none.  They are detached; the queue's memory is freed by
 * io_queue_free() or, if threads are still about, by the last of them.
 *
 * Where the system has no thread left, a queue without any is served by the
 * reserve: one thread of the process, started in time, which counts as the
 * queue's own while it is there.  It hands the work on as soon as a thread can
 * be had again. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "io/engine.h"

#define IDLE_SEC 5
/* Small frames only: what runs here is system calls and the library. */
#define STACK_SIZE (256 << 10)

static struct {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  STAILQ_HEAD(, io_queue) queues; /* each waits once */
  bool started;
} reserve = {
  .lock = PTHREAD_MUTEX_INITIALIZER,
  .wake = PTHREAD_COND_INITIALIZER,
  .queues = STAILQ_HEAD_INITIALIZER(reserve.queues),
};

struct io_queue *
io_queue_new(void)
{
  struct io_queue *queue = calloc(1, sizeof *queue);
  if (!queue)
    return NULL;

  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&queue->wake, &attr);
  pthread_condattr_destroy(&attr);
  pthread_mutex_init(&queue->lock, NULL);
  io_gather_init(&queue->gather);
  io_gather_init(&queue->durables.gather);
  pthread_mutex_init(&queue->durables.lock, NULL);
  STAILQ_INIT(&queue->durables.pending);
  STAILQ_INIT(&queue->works);
  return queue;
}

static void
queue_delete(struct io_queue *queue)
{
  assert(STAILQ_EMPTY(&queue->works));
  io_gather_destroy(&queue->gather);
  io_gather_destroy(&queue->durables.gather);
  pthread_mutex_destroy(&queue->durables.lock);
  pthread_cond_destroy(&queue->wake);
  pthread_mutex_destroy(&queue->lock);
  free(queue);
}

void
io_queue_limit(struct io_queue *queue, uint64_t bytes)
{
  queue->limit = bytes;
}

void
io_queue_free(struct io_queue *queue)
{
  if (!queue)
    return;
  pthread_mutex_lock(&queue->lock);
  queue->closing = true;
  pthread_cond_broadcast(&queue->wake);
  const bool last = queue->nthreads == 0;
  pthread_mutex_unlock(&queue->lock);
  if (last)
    queue_delete(queue);
}

/* What a disk has lately been like stays true of the next image, mostly; what
 * descriptors mean does not, nor that something could not be read. */
void
io_queue_forget(struct io_queue *queue)
{
  for (unsigned i = 0; i < IO_CLASS_SLOTS; i++)
    atomic_store_explicit(&queue->class[i], 0, memory_order_relaxed);
  atomic_store_explicit(&queue->unreadable, false, memory_order_relaxed);
}

/* Waits for work; NULL: there has been none for long, or never will be.  The
 * lock is held. */
static struct io_work *
next_work(struct io_queue *queue)
{
  struct timespec until;

  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += IDLE_SEC;
  int err = 0;
  while (STAILQ_EMPTY(&queue->works) && !queue->closing && err == 0) {
    queue->nidle++;
    err = pthread_cond_timedwait(&queue->wake, &queue->lock, &until);
    queue->nidle--;
  }
  struct io_work *work = STAILQ_FIRST(&queue->works);
  if (work) {
    STAILQ_REMOVE_HEAD(&queue->works, link);
    queue->nworks--;
  }
  return work;
}

/* A thread of the queue leaves.  The lock is held, and given back. */
static void
leave(struct io_queue *queue)
{
  const bool last = --queue->nthreads == 0 && queue->closing;

  pthread_mutex_unlock(&queue->lock);
  if (last)
    queue_delete(queue);
}

static void *
queue_thread(void *arg)
{
  struct io_queue *queue = arg;
  struct io_work *work;

  pthread_setname_np(pthread_self(), "io");
  pthread_mutex_lock(&queue->lock);
  while ((work = next_work(queue)) != NULL) {
    pthread_mutex_unlock(&queue->lock);
    work->run(work);
    pthread_mutex_lock(&queue->lock);
  }
  leave(queue);
  return NULL;
}

static int
start_thread(void *(*run)(void *), void *arg)
{
  pthread_attr_t attr;
  pthread_t thread;
  sigset_t all, old;

  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attr, STACK_SIZE);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  const int err = pthread_create(&thread, &attr, run, arg);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_attr_destroy(&attr);
  return err;
}

/* ------------------------------------------------------------------ reserve */

/* Serves a queue, as a thread of its own would, until nothing waits there or
 * there is such a thread again. */
static void
reserve_serve(struct io_queue *queue)
{
  struct io_work *work;

  pthread_mutex_lock(&queue->lock);
  while (!STAILQ_EMPTY(&queue->works)) {
    if (start_thread(queue_thread, queue) == 0) {
      queue->nthreads++;
      break;
    }
    work = next_work(queue);
    pthread_mutex_unlock(&queue->lock);
    work->run(work);
    pthread_mutex_lock(&queue->lock);
  }
  leave(queue);
}

static void *
reserve_thread(void *arg)
{
  pthread_setname_np(pthread_self(), "io-reserve");
  pthread_mutex_lock(&reserve.lock);
  for (;;) {
    struct io_queue *queue = STAILQ_FIRST(&reserve.queues);
    if (!queue) {
      pthread_cond_wait(&reserve.wake, &reserve.lock);
      continue;
    }
    STAILQ_REMOVE_HEAD(&reserve.queues, reserve);
    pthread_mutex_unlock(&reserve.lock);
    reserve_serve(queue);
    pthread_mutex_lock(&reserve.lock);
  }
  return arg;
}

int
io_reserve_start(void)
{
  int err = 0;

  pthread_mutex_lock(&reserve.lock);
  if (!reserve.started)
    err = start_thread(reserve_thread, NULL);
  reserve.started |= err == 0;
  pthread_mutex_unlock(&reserve.lock);
  return -err;
}

/* The queue, which has no thread, is to be served.  Its lock is held, and work
 * waits there; false: there is no reserve. */
static bool
reserve_call(struct io_queue *queue)
{
  pthread_mutex_lock(&reserve.lock);
  const bool there = reserve.started;
  if (there) {
    queue->nthreads++;
    STAILQ_INSERT_TAIL(&reserve.queues, queue, reserve);
    pthread_cond_signal(&reserve.wake);
  }
  pthread_mutex_unlock(&reserve.lock);
  return there;
}

void
io_queue_run(struct io_queue *queue, struct io_work *work)
{
  bool here = false;

  pthread_mutex_lock(&queue->lock);
  assert(!queue->closing);
  STAILQ_INSERT_TAIL(&queue->works, work, link);
  queue->nworks++;
  /* An idle thread that was woken counts as idle until it runs, and its work
   * as waiting: so the two are compared. */
  if (queue->nworks <= queue->nidle) {
    pthread_cond_signal(&queue->wake);
  } else if (queue->nthreads < IO_QUEUE_THREADS) {
    if (start_thread(queue_thread, queue) == 0) {
      queue->nthreads++;
    } else if (queue->nthreads == 0 && !reserve_call(queue)) {
      STAILQ_REMOVE(&queue->works, work, io_work, link);
      queue->nworks--;
      here = true;
    }
  }
  pthread_mutex_unlock(&queue->lock);
  if (here)
    work->run(work);
}
