/* SPDX-License-Identifier: BSD-2-Clause */
/* inject.h: the system calls on one file system fail as they are told to.
 *
 * The program's own pread(), pwritev2(), fallocate() and so on take the place
 * of the C library's, for the library below too.  They count the calls that a
 * kind of fault can strike, and strike one of them, or all from one on.  What
 * lies on another file system (the journal) is left alone.  One thread. */
#ifndef TESTS_FS_INJECT_H
#define TESTS_FS_INJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Which calls. */
enum {
  ON_READ = 1 << 0,
  ON_WRITE = 1 << 1,
  ON_GROW = 1 << 2,  /* whatever reaches beyond the end of the file */
  ON_CLEAR = 1 << 3, /* the other fallocates, and ftruncate that shortens */
  ON_SYNC = 1 << 4,  /* durable writes, too: they are writes and syncs */
  ON_SPACE = 1 << 5, /* fallocate of any kind */
};

enum how {
  FAILS, /* nothing is done */
  SHORT, /* half of it is done, and that is told */
  TORN,  /* half of it is done, then it fails */
};

struct fault {
  const char *name;
  int error;
  unsigned on;
  enum how how;
  bool lasts; /* all calls from that one on */
  off_t over; /* only what asks for more space than this at once */
};

/* Strikes the nth call, from 1 on, on the file system with this number. */
void inject_arm(const struct fault *fault, unsigned nth, dev_t dev);
void inject_disarm(void);

/* Whether it has struck, what kind of call at first, and which in all. */
bool inject_struck(void);
unsigned inject_what(void);
unsigned inject_all(void);
/* Calls seen since inject_arm() on that file system, of any kind. */
unsigned inject_calls(void);

#endif
