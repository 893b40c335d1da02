/* SPDX-License-Identifier: BSD-2-Clause */
/* loop.h: one thread, one libevent loop, and the work that is posted to it.
 *
 * Everything that lives on a loop (connections, requests, buffers) is touched
 * by that loop's thread alone, and so needs no locks; other threads reach it by
 * posting a task, which is embedded in what it concerns.
 *
 * Posting from the loop's own thread puts the task on a run queue, which is
 * drained when the running callback has finished: so a task never runs inside
 * the function that posted it.  Where tasks post tasks without end, the loop's
 * other events have their turn in between.  Posting from elsewhere takes a lock
 * and, if the loop may be asleep, writes to an eventfd. */
#ifndef SERVER_BASE_LOOP_H
#define SERVER_BASE_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buffer.h"

struct event;
struct event_base;
struct io_port;

struct task {
  STAILQ_ENTRY(task) link;
  void (*run)(struct task *);
};

STAILQ_HEAD(tasks, task);

struct loop {
  struct event_base *base;
  void *owner; /* of who made it */
  unsigned index;

  /* Of the loop's own thread. */
  struct tasks run;
  struct bufs bufs;
  struct io_port *port; /* the engine's part of this loop, or NULL */
  /* Called when the run queue is empty, or has had its turn: the engine submits
   * what it has. */
  void (*settled)(struct loop *);
  struct event *again; /* a timer: the run queue's next turn */
  struct event *trim;

  /* Of all threads, under .lock. */
  pthread_mutex_t lock;
  struct tasks inbox;
  int wake_fd;
  struct event *wake;

  pthread_t thread;
  bool started;
};

/* The thread is started by loop_start().  NULL and errno where memory or
 * descriptors are short. */
struct loop *loop_new(void *owner, unsigned index);

/* Runs begin() on the new thread before anything else.  0 or -errno. */
int loop_start(struct loop *loop, void (*begin)(struct loop *));

/* Any thread.  The task must not be posted already. */
void loop_post(struct loop *loop, struct task *task);
/* The same for several, of which the list becomes empty; there is one. */
void loop_post_all(struct loop *loop, struct tasks *tasks);

/* To be called at the end of every event callback of this loop. */
void loop_settle(struct loop *loop);

/* Makes the loop return once it has run what is posted so far; end() then runs
 * on its thread.  loop_join() waits for that. */
void loop_stop(struct loop *loop, void (*end)(struct loop *));
void loop_join(struct loop *loop);

/* Not running.  NULL is fine. */
void loop_free(struct loop *loop);

/* The loop whose thread this is, or NULL. */
struct loop *loop_current(void);

#endif
