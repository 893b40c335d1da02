/* SPDX-License-Identifier: BSD-2-Clause */
/* test-facts: what the counters of connections come to. */
#include "config.h"

#include "base/usage.h"
#include "control/facts.h"
#include "unit/unit.h"

static const struct visitor nobody = { .uid = (uid_t)-1 };

static void
note(struct facts *facts, struct fact fact)
{
  fact.visitor = &nobody;
  facts_note(facts, &fact);
}

static void
connections_are_counted(void **state)
{
  struct facts facts;

  (void)state;
  assert_true(facts_init(&facts, 1));
  for (int i = 0; i < 3; i++)
    note(&facts, (struct fact){ .kind = FACT_CAME });
  note(&facts, (struct fact){ .kind = FACT_CHOSE, .export = "a" });
  note(&facts, (struct fact){ .kind = FACT_LEFT, .export = "a", .why = "" });
  note(&facts, (struct fact){ .kind = FACT_LEFT, .why = "" });
  assert_int_equal(facts.came, 3);
  assert_int_equal(facts.came - facts.left, 1);
  facts_destroy(&facts);
}

static void
refusals_are_counted_by_limit(void **state)
{
  struct facts facts;

  (void)state;
  assert_true(facts_init(&facts, 1));
  for (int i = 0; i < FACT_NLIMITS; i++)
    for (int n = 0; n <= i; n++)
      note(&facts, (struct fact){ .kind = FACT_REFUSED,
                                  .limit = (enum fact_limit)i });
  for (int i = 0; i < FACT_NLIMITS; i++)
    assert_int_equal(facts.refused[i], i + 1);
  assert_int_equal(facts.came, 0);
  facts_destroy(&facts);
}

static void
fail_with(struct facts *facts, uint32_t number)
{
  note(facts, (struct fact){
                .kind = FACT_FAILED,
                .export = "a",
                .request = "READ",
                .error = "an error",
                .why = "because",
                .number = number,
                .weight = FACT_GRAVE,
              });
}

static void
errors_are_counted_by_number(void **state)
{
  struct facts facts;

  (void)state;
  assert_true(facts_init(&facts, 1));
  fail_with(&facts, 5);
  fail_with(&facts, 28);
  fail_with(&facts, 28);
  fail_with(&facts, 0);
  fail_with(&facts, UINT32_MAX);
  fail_with(&facts, FACTS_OTHER_ERRORS);
  assert_int_equal(facts.errors[5], 1);
  assert_int_equal(facts.errors[28], 2);
  assert_int_equal(facts.errors[0], 1);
  assert_int_equal(facts.errors[FACTS_OTHER_ERRORS], 2);
  facts_destroy(&facts);
}

static void
bytes_are_those_of_all_loops(void **state)
{
  uint64_t read, written;
  struct facts facts;

  (void)state;
  assert_true(facts_init(&facts, 3));
  usage_add(&facts.tallies[0].read, 1);
  usage_add(&facts.tallies[2].read, UINT64_C(1) << 40);
  usage_add(&facts.tallies[1].written, 7);
  facts_bytes(&facts, &read, &written);
  assert_true(read == (UINT64_C(1) << 40) + 1);
  assert_int_equal(written, 7);
  facts_destroy(&facts);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(connections_are_counted),
    cmocka_unit_test(refusals_are_counted_by_limit),
    cmocka_unit_test(errors_are_counted_by_number),
    cmocka_unit_test(bytes_are_those_of_all_loops),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
