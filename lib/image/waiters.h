/* SPDX-License-Identifier: BSD-2-Clause */
/* waiters.h: requests that are parked until something comes: a queue for each
 * thing that can be waited for.
 *
 * Whoever lets the thing come takes them out, under the lock that guards the
 * queue, and wakes them when it has let that lock go; each of them then looks
 * anew, for another may be quicker. */
#ifndef IMAGE_WAITERS_H
#define IMAGE_WAITERS_H

struct vhd_request;

struct waiters {
  struct vhd_request *last; /* list through waiter.next, last in, first out */
};

/* What a request's machine begins with. */
struct waiter {
  struct vhd_request *next; /* of a queue, or of those that are to be woken */
  const void *key;
};

/* Adds a request; under lock.  key: which of the things that share a queue it
 * waits for, or NULL where there is but one.  The request must not be touched
 * once the lock is let go. */
void waiters_add(struct waiters *w, struct vhd_request *req, const void *key);
/* Takes out those that wait for key; under lock.  They are put in front of the
 * list `more`, in the order in which they came; returns the list. */
struct vhd_request *waiters_take(struct waiters *w, const void *key,
                                 struct vhd_request *more);
/* Wakes all of a list; without locks. */
void waiters_wake(struct vhd_request *list);

#endif
