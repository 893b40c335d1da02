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

#define SYNCS_MAX 4

struct syncs {
  pthread_mutex_t lock;
  pthread_cond_t left;  /* a description is free */
  int fd[SYNCS_MAX];    /* the first is its owner's; the others are ours */
  bool busy[SYNCS_MAX];
  unsigned n;           /* that can be used */
  unsigned most;        /* that may be */
  bool wanted;          /* more, by one who waits */
  int error;            /* of the first sync that failed */
};

/* The file's own description.  It will do until several are allowed, which is
 * to be called before any other thread uses the file. */
void syncs_init(struct syncs *s, int fd);
void syncs_allow_several(struct syncs *s);
void syncs_destroy(struct syncs *s);

/* fdatasync(): 0 or -errno. */
int syncs_run(struct syncs *s);

/* Around what else is told of errors upon the file's own description; end
 * returns the result to go by. */
void syncs_begin_own(struct syncs *s);
int syncs_end_own(struct syncs *s, int result);

#endif
