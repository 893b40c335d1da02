/* SPDX-License-Identifier: BSD-2-Clause */
/* test-budget: reserving of several bounded things at once. */
#include "config.h"

#include "image/budget.h"
#include "unit/unit.h"

/* What the owners count. */
static uint32_t used[BUDGET_KINDS];

static struct budgets
make(uint32_t limit)
{
  struct budgets b;

  memset(&b, 0, sizeof b);
  memset(used, 0, sizeof used);
  for (int kind = 0; kind < BUDGET_KINDS; kind++) {
    b.of[kind].limit = limit;
    b.of[kind].used = &used[kind];
  }
  return b;
}

static void
test_all_or_nothing(void **state)
{
  (void)state;
  struct budgets b = make(4);
  struct need need = { .n = { 1, 1, 2, 0 } };
  enum budget_kind lacking = BUDGET_KINDS;

  assert_true(budgets_reserve(&b, &need, &lacking));
  assert_true(budgets_reserve(&b, &need, &lacking));
  assert_int_equal(b.of[BUDGET_DIRTY].reserved, 2);
  assert_int_equal(b.of[BUDGET_RECORDS].reserved, 4);
  assert_int_equal(b.of[BUDGET_SLOTS].reserved, 0);
  /* The records are all promised; nothing of the others is taken. */
  assert_false(budgets_reserve(&b, &need, &lacking));
  assert_int_equal(lacking, BUDGET_RECORDS);
  assert_int_equal(b.of[BUDGET_DIRTY].reserved, 2);
  assert_int_equal(b.of[BUDGET_BITMAPS].reserved, 2);
  budgets_release(&b, &need);
  assert_true(budgets_reserve(&b, &need, &lacking));
}

/* A commit helps only where something is in use. */
static void
test_what_helps(void **state)
{
  (void)state;
  struct budgets b = make(2);
  struct need need = { .n = { 1, 0, 0, 0 } };
  enum budget_kind lacking;

  used[BUDGET_DIRTY] = 1;
  assert_true(budgets_reserve(&b, &need, &lacking));
  assert_false(budgets_reserve(&b, &need, &lacking));
  assert_true(budget_is_used(&b.of[lacking]));
  used[BUDGET_DIRTY] = 0;
  assert_true(budgets_reserve(&b, &need, &lacking));
  assert_false(budgets_reserve(&b, &need, &lacking));
  assert_false(budget_is_used(&b.of[lacking]));
}

static void
test_no_limit(void **state)
{
  (void)state;
  struct budgets b = make(UINT32_MAX);
  struct need need = { .n = { 200, 200, 200, 200 } };
  enum budget_kind lacking;

  used[BUDGET_BITMAPS] = UINT32_MAX - 200;
  assert_true(budgets_reserve(&b, &need, &lacking));
  assert_false(budgets_reserve(&b, &need, &lacking));
  assert_int_equal(lacking, BUDGET_BITMAPS);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_all_or_nothing),
    cmocka_unit_test(test_what_helps),
    cmocka_unit_test(test_no_limit),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
