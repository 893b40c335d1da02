/* SPDX-License-Identifier: BSD-2-Clause */
/* session.h: one client of the control socket: lines to questions, answers to
 * lines.
 *
 *  1. Several questions may be under way at once; their answers come as they
 *     are ready.
 *  2. Nothing is read while SESSION_QUESTIONS are, or while more than
 *     SESSION_OUTPUT bytes wait that he does not take.  So what he holds is
 *     bounded: by a line, those questions, and an answer to each.
 *  3. A line that is too long ends him, as does taking nothing for
 *     SESSION_STUCK_SEC, or asking nothing for SESSION_IDLE_SEC while nothing
 *     is under way for him.
 *  4. When he has closed his end, or half of it, what can be cancelled is; the
 *     other questions are answered, and then the socket is closed.
 *  5. It is freed by its own task alone, so that nothing goes away under who is
 *     running.
 *
 * On the main thread. */
#ifndef SERVER_CONTROL_SOCKET_SESSION_H
#define SERVER_CONTROL_SOCKET_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/loop.h"
#include "control/question.h"

#define SESSION_QUESTIONS 8
#define SESSION_OUTPUT ((size_t)256 << 10)
#define SESSION_STUCK_SEC 30
#define SESSION_IDLE_SEC 300

struct bufferevent;

struct session {
  TAILQ_ENTRY(session) link; /* its owner's */
  struct sink sink;
  struct world *world;
  struct caller caller;
  struct bufferevent *bev; /* NULL: it is over */
  struct questions questions;
  unsigned nquestions;
  bool at_end;       /* he says no more */
  bool broken;       /* it must end at once */
  bool closing;      /* as soon as he has taken what waits */
  uint64_t moved_ns; /* when he last said or took something */
  bool kicked;       /* .kick is posted */
  struct task kick;
  /* It is about to be freed. */
  void (*gone)(struct session *session);
  void *owner;
};

/* Takes fd over, whatever comes of it; NULL where memory is short. */
struct session *session_new(int fd, const struct caller *caller,
                            struct world *world);
/* It ends now; .gone follows. */
void session_end(struct session *session);
/* Every few seconds: ends it where its time is over. */
void session_check(struct session *session, uint64_t now_ns);

#endif
