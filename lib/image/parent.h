/* SPDX-License-Identifier: BSD-2-Clause */
/* parent.h: where the parent that a child names may lie: one candidate after
 * another, in the order: relative locators, the stored name beside the child,
 * absolute locators.
 *
 * What the child stores is hostile; file_beside() sees to what a name may lead
 * to.  A candidate that is not the parent is remembered, for the message where
 * none is.  Blocks; one thread. */
#ifndef IMAGE_PARENT_H
#define IMAGE_PARENT_H

#include "image/layer.h"

/* Each locator twice, and the stored name. */
#define PARENT_CANDIDATES (2 * LOCATOR_COUNT + 1)
/* Files whose names are the same but for upper and lower case. */
#define PARENT_SPELLINGS 64

struct parent_search {
  const struct layer *child;
  char *name[PARENT_CANDIDATES];
  unsigned n, at;           /* at: the next to try */
  unsigned nth;             /* which file of that name; see file_beside() */
  bool again;               /* the next is the same name, and another file */
  bool denied;              /* something was there, outside the roots */
  char looked[600];         /* "a, b, c" */
  struct vhd_error refused; /* why the first that was there is not the parent */
};

/* 0, -ENOMEM, or why the child's file cannot be read.  What it holds is freed
 * by parent_search_end(). */
int parent_search_begin(struct parent_search *s, const struct layer *child);
void parent_search_end(struct parent_search *s);

/* The next candidate, with .nth; NULL: that was all. */
const char *parent_search_next(struct parent_search *s);
/* The last one was there: others may be that have the same name but for upper
 * and lower case. */
void parent_search_more(struct parent_search *s);
/* The last one was not there; outside the roots; or is not the parent. */
void parent_search_missed(struct parent_search *s);
void parent_search_denied(struct parent_search *s);
void parent_search_refused(struct parent_search *s,
                           const struct vhd_error *why);
/* No candidate was the parent: says so. */
int parent_search_failed(struct parent_search *s, struct vhd_error *err);

#endif
