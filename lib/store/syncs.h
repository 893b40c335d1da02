/* SPDX-License-Identifier: BSD-2-Clause */
/* syncs.h: several syncs of one file under way at once, each of which is told
 * when what was written has not reached the disk.
 *
 * The kernel tells of that once for each description of an open file: of two
 * fdatasync() upon one description, one fails and the other does not.  So each
 * sync has a description to itself while it lasts; more of them are opened,
 * for reading, when one has to wait.  And once a sync has failed, all fail that
 * end later.
 *
 * Any thread; a sync may block. */
#ifndef STORE_SYNCS_H
#define STORE_SYNCS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define SYNCS_MAX 8

struct syncs {
  pthread_mutex_t lock;
  pthread_cond_t left;  /* a description is free */
  int fd[SYNCS_MAX];    /* the first is its owner's; the others are ours */
  bool busy[SYNCS_MAX];
  unsigned n;           /* that can be used */
  unsigned most;        /* that may be */
  bool wanted;          /* more, by one who waits */
  uint64_t gathering;   /* number of the sync that has not begun */
  unsigned waiting;     /* so many do for that */
  uint64_t number[SYNCS_MAX]; /* of the one that this is, or was, busy with */
  int error;            /* of the first sync that failed */
  const char *path;     /* or NULL */
};

/* The file's own description.  It will do until several are allowed, which is
 * to be called before any other thread uses the file.  path: what the file was
 * opened by, which stays the caller's; or NULL. */
void syncs_init(struct syncs *s, int fd);
void syncs_allow_several(struct syncs *s, const char *path);
void syncs_destroy(struct syncs *s);

/* fdatasync(): 0 or -errno.  Those who wait for a description share a sync. */
int syncs_run(struct syncs *s);

/* Around what else is told of errors upon the file's own description; end
 * returns the result to go by.  try: false where that is in use. */
void syncs_begin_own(struct syncs *s);
bool syncs_try_own(struct syncs *s);
int syncs_end_own(struct syncs *s, int result);

#endif
