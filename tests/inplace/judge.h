/* SPDX-License-Identifier: BSD-2-Clause */
/* judge.h: is what the folder holds what it may hold?  One thread. */
#ifndef INPLACE_JUDGE_H
#define INPLACE_JUDGE_H

#include "scene.h"

#define FAULT_ROOM 400

/* What was seen so far. */
struct judged {
  uint64_t before, after, mixed; /* images that could be opened */
  uint64_t interrupted;          /* those that were refused, with a word */
};

extern struct judged judged;

/* In between: each image is as before or as after, or says that a change of it
 * was interrupted.  True; or false, and why in fault. */
bool judge_between(const struct scene *s, char *fault);
/* At the end: each is as after, nothing is wrong with it, and there is nothing
 * else. */
bool judge_end(const struct scene *s, char *fault);

#endif
