/* SPDX-License-Identifier: BSD-2-Clause */
/* budget.h: how much of each bounded thing is in use, and how much is promised
 * to changes that are under way.
 *
 * What is in use is counted once, by the thing's owner, as it is taken and
 * given back; a budget looks at that count, and counts the promises.
 *
 * A change of a block's mapping reserves all that its publishing will take
 * before it begins, so that it can always be finished.  One that finds no room
 * has two ways on: where some of the thing is in use, a commit gives that back;
 * where all of it is only promised, a commit would find nothing to do, and the
 * change waits for a promise to be kept or given up.
 *
 * Pure; the caller holds the lock that guards the things themselves. */
#ifndef IMAGE_BUDGET_H
#define IMAGE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "image/waiters.h"

enum budget_kind {
  BUDGET_DIRTY,   /* entries of the dirty set */
  BUDGET_BITMAPS, /* dirty bitmaps in the cache */
  BUDGET_RECORDS, /* records of the journal */
  BUDGET_SLOTS,   /* slots that blocks left and that are not free yet */
  BUDGET_KINDS,
};

struct budget {
  uint32_t limit;       /* UINT32_MAX: none */
  const uint32_t *used; /* the owner's count */
  uint32_t reserved;    /* promised, not used yet */
  struct waiters waiting; /* for what is reserved to be released */
};

struct budgets {
  struct budget of[BUDGET_KINDS];
};

/* What one change takes of each. */
struct need {
  uint8_t n[BUDGET_KINDS];
};

/* Reserves all of it, or nothing: then *lacking is a budget without room. */
bool budgets_reserve(struct budgets *b, const struct need *need,
                     enum budget_kind *lacking);
/* The change is done, or given up: what it took its owners have counted. */
void budgets_release(struct budgets *b, const struct need *need);
/* Takes those that wait for any of what was released; as waiters_take(). */
struct vhd_request *budgets_waiters(struct budgets *b,
                                    const struct need *released,
                                    struct vhd_request *more);

/* Would there be room if everything in use were given back? */
static inline bool
budget_is_used(const struct budget *b)
{
  return *b->used > 0;
}

#endif
