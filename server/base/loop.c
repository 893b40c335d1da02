/* SPDX-License-Identifier: BSD-2-Clause */
/* loop.c: see loop.h.  libevent is used by the loop's own thread alone, save
 * for the set-up before the thread starts, so its locks are not needed. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/log.h"
#include "base/loop.h"

/* Buffers that nobody has needed for so long are given back. */
static const struct timeval trim_interval = { .tv_sec = 2 };

/* So many rounds of tasks are run before the loop looks at its descriptors
 * again: what steps and steps back must not keep the other clients waiting. */
#define TURN_ROUNDS 16
static const struct timeval at_once = { 0 };

static _Thread_local struct loop *current_loop;

struct loop *
loop_current(void)
{
  return current_loop;
}

void
loop_post(struct loop *loop, struct task *task)
{
  struct tasks tasks = STAILQ_HEAD_INITIALIZER(tasks);

  STAILQ_INSERT_TAIL(&tasks, task, link);
  loop_post_all(loop, &tasks);
}

void
loop_post_all(struct loop *loop, struct tasks *tasks)
{
  if (loop == current_loop) {
    STAILQ_CONCAT(&loop->run, tasks);
    return;
  }

  pthread_mutex_lock(&loop->lock);
  const bool was_empty = STAILQ_EMPTY(&loop->inbox);
  STAILQ_CONCAT(&loop->inbox, tasks);
  pthread_mutex_unlock(&loop->lock);

  /* Whoever put the first one in has woken the loop, or is about to. */
  if (was_empty) {
    const uint64_t one = 1;
    ssize_t n;
    do
      n = write(loop->wake_fd, &one, sizeof one);
    while (n < 0 && errno == EINTR);
  }
}

/* Runs the tasks that are there; those that they post are the next round. */
static void
run_round(struct loop *loop)
{
  struct tasks ready = STAILQ_HEAD_INITIALIZER(ready);
  struct task *task;

  STAILQ_CONCAT(&ready, &loop->run);
  while ((task = STAILQ_FIRST(&ready)) != NULL) {
    STAILQ_REMOVE_HEAD(&ready, link);
    task->run(task);
  }
}

/* A loop that ends has no other turn. */
static bool
may_go_on(struct loop *loop, unsigned round)
{
  return round < TURN_ROUNDS || event_base_got_break(loop->base);
}

void
loop_settle(struct loop *loop)
{
  unsigned round = 0;

  do {
    for (; !STAILQ_EMPTY(&loop->run) && may_go_on(loop, round); round++)
      run_round(loop);
    if (loop->settled)
      loop->settled(loop);
  } while (!STAILQ_EMPTY(&loop->run) && may_go_on(loop, round));

  /* Timers come after what is ready by then. */
  if (!STAILQ_EMPTY(&loop->run))
    evtimer_add(loop->again, &at_once);
  if (loop->bufs.cached > 0 && !evtimer_pending(loop->trim, NULL))
    evtimer_add(loop->trim, &trim_interval);
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
  struct loop *loop = arg;
  uint64_t count;
  ssize_t n = read(fd, &count, sizeof count);

  (void)n;
  (void)what;
  pthread_mutex_lock(&loop->lock);
  STAILQ_CONCAT(&loop->run, &loop->inbox);
  pthread_mutex_unlock(&loop->lock);
  loop_settle(loop);
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
  (void)fd;
  (void)what;
  loop_settle(arg);
}

static void
on_trim(evutil_socket_t fd, short what, void *arg)
{
  struct loop *loop = arg;

  (void)fd;
  (void)what;
  bufs_trim(&loop->bufs);
  loop_settle(loop);
}

/* What libevent cannot do; at the worst it then ends the process. */
static void
on_complaint(int severity, const char *text)
{
  const char *limit = descriptors_explain(-errno);

  if (severity >= EVENT_LOG_WARN)
    log_error("%s%s%s", text, limit ? "; " : "", limit ? limit : "");
}

struct loop *
loop_new(void *owner, unsigned index)
{
  struct loop *loop = calloc(1, sizeof *loop);
  int why;

  if (!loop)
    return NULL;
  loop->owner = owner;
  loop->index = index;
  loop->wake_fd = -1;
  STAILQ_INIT(&loop->run);
  STAILQ_INIT(&loop->inbox);
  bufs_init(&loop->bufs);
  pthread_mutex_init(&loop->lock, NULL);

  errno = ENOMEM;
  event_set_log_callback(on_complaint);
  struct event_config *config = event_config_new();
  if (!config)
    goto fail;
  /* No changelist: a connection closes its socket right after it has taken it
   * out of the loop, and others may get the same descriptor at once. */
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  loop->base = event_base_new_with_config(config);
  event_config_free(config);
  loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (!loop->base || loop->wake_fd < 0)
    goto fail;
  loop->wake =
    event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
  loop->again = evtimer_new(loop->base, on_again, loop);
  loop->trim = evtimer_new(loop->base, on_trim, loop);
  if (!loop->wake || !loop->again || !loop->trim ||
      event_add(loop->wake, NULL) < 0)
    goto fail;
  return loop;

fail:
  why = errno != 0 ? errno : ENOMEM;
  loop_free(loop);
  errno = why;
  return NULL;
}

struct start {
  struct loop *loop;
  void (*begin)(struct loop *);
};

static void *
loop_main(void *arg)
{
  struct start start = *(struct start *)arg;
  struct loop *loop = start.loop;
  char name[16];

  free(arg);
  current_loop = loop;
  snprintf(name, sizeof name, "loop-%u", loop->index);
  pthread_setname_np(pthread_self(), name);
  if (start.begin)
    start.begin(loop);
  event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
  bufs_clear(&loop->bufs);
  return NULL;
}

int
loop_start(struct loop *loop, void (*begin)(struct loop *))
{
  struct start *start = malloc(sizeof *start);
  if (!start)
    return -ENOMEM;
  start->loop = loop;
  start->begin = begin;

  /* Signals are the main thread's business. */
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  const int err = pthread_create(&loop->thread, NULL, loop_main, start);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (err) {
    free(start);
    return -err;
  }
  loop->started = true;
  return 0;
}

struct stop {
  struct task task;
  struct loop *loop;
  void (*end)(struct loop *);
};

static void
run_stop(struct task *task)
{
  struct stop *stop = (struct stop *)task;
  struct loop *loop = stop->loop;

  if (stop->end)
    stop->end(loop);
  free(stop);
  event_base_loopbreak(loop->base);
}

void
loop_stop(struct loop *loop, void (*end)(struct loop *))
{
  struct stop *stop = malloc(sizeof *stop);

  /* A few bytes: without them nothing else would work either. */
  assert(stop);
  stop->task.run = run_stop;
  stop->loop = loop;
  stop->end = end;
  loop_post(loop, &stop->task);
}

void
loop_join(struct loop *loop)
{
  assert(loop->started);
  pthread_join(loop->thread, NULL);
  loop->started = false;
}

void
loop_free(struct loop *loop)
{
  if (!loop)
    return;
  assert(!loop->started);
  if (loop->wake)
    event_free(loop->wake);
  if (loop->again)
    event_free(loop->again);
  if (loop->trim)
    event_free(loop->trim);
  if (loop->base)
    event_base_free(loop->base);
  if (loop->wake_fd >= 0)
    close(loop->wake_fd);
  bufs_clear(&loop->bufs);
  pthread_mutex_destroy(&loop->lock);
  free(loop);
}
