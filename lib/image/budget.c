/* SPDX-License-Identifier: BSD-2-Clause */
/* budget.c: see budget.h. */
#include "config.h"

#include <assert.h>
#include <stddef.h>

#include "base/bounds.h"
#include "image/budget.h"

_Static_assert((int)BUDGET_DIRTY == BOUND_DIRTY &&
               (int)BUDGET_BITMAPS == BOUND_BITMAPS &&
               (int)BUDGET_RECORDS == BOUND_RECORDS &&
               (int)BUDGET_SLOTS == BOUND_SLOTS,
               "bounds are not in the order of budgets");

/* The sum may be larger than 32 bits hold. */
static bool
fits(const struct budget *b, uint32_t n)
{
  return (uint64_t)*b->used + b->reserved + n <= b->limit;
}

bool
budgets_reserve(struct budgets *b, const struct need *need,
                enum budget_kind *lacking)
{
  for (int kind = 0; kind < BUDGET_KINDS; kind++)
    if (need->n[kind] > 0 && !fits(&b->of[kind], need->n[kind])) {
      *lacking = (enum budget_kind)kind;
      REACHED((enum bound)kind);
      return false;
    }
  for (int kind = 0; kind < BUDGET_KINDS; kind++)
    b->of[kind].reserved += need->n[kind];
  return true;
}

void
budgets_release(struct budgets *b, const struct need *need)
{
  for (int kind = 0; kind < BUDGET_KINDS; kind++) {
    assert(b->of[kind].reserved >= need->n[kind]);
    b->of[kind].reserved -= need->n[kind];
  }
}

struct vhd_request *
budgets_waiters(struct budgets *b, const struct need *released,
                struct vhd_request *more)
{
  for (int kind = 0; kind < BUDGET_KINDS; kind++)
    if (released->n[kind] > 0)
      more = waiters_take(&b->of[kind].waiting, NULL, more);
  return more;
}
