/* SPDX-License-Identifier: BSD-2-Clause */
/* events.h: what happens, for those who follow it: facts come by any thread,
 * and are told on the main thread.
 *
 * Who follows must not hold up anybody: a fact costs nothing while nobody does,
 * and where more than EVENTS_PENDING wait for the main thread, or a follower
 * does not take his lines, further ones are counted and thrown away. */
#ifndef SERVER_CONTROL_EVENTS_H
#define SERVER_CONTROL_EVENTS_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

struct fact;
struct loop;

#define EVENTS_PENDING 4096

/* Embedded in who follows. */
struct follower {
  LIST_ENTRY(follower) link;
  /* Takes a reference of its own if it keeps it.  On the main thread. */
  void (*tell)(struct follower *follower, json_t *event);
};

struct events {
  struct loop *loop; /* the main thread's */
  LIST_HEAD(, follower) followers;
  atomic_uint nfollowers;
  atomic_uint pending;
  atomic_uint_fast64_t lost;
};

void events_init(struct events *events);

/* Any thread. */
void events_note(struct events *events, const struct fact *fact);

/* On the main thread.  What has no fact: takes the object over, which may be
 * NULL; "time" is added. */
void events_tell(struct events *events, json_t *event);
void events_follow(struct events *events, struct follower *follower);
void events_leave(struct events *events, struct follower *follower);

#endif
