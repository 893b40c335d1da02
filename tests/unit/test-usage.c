/* SPDX-License-Identifier: BSD-2-Clause */
/* test-usage.c: what is counted of requests, by several loops, and what is made
 * of it. */
#include "config.h"

#include <pthread.h>
#include <string.h>

#include "base/usage.h"
#include "unit/unit.h"

#define LOOPS 8
#define REQUESTS 20000

static void
test_bounds(void **state)
{
  struct usage_times times;

  (void)state;
  for (unsigned i = 0; i < USAGE_BUCKETS; i++) {
    const uint64_t end = usage_bound(i);
    memset(&times, 0, sizeof times);
    usage_took(&times, i == 0 ? 0 : usage_bound(i - 1), 1);
    usage_took(&times, end - 1, 2);
    assert_int_equal(atomic_load(&times.count[i]), 3);
    if (i > 0)
      assert_true(end > usage_bound(i - 1));
  }
  assert_int_equal(usage_bound(0), 16384);
  assert_int_equal(usage_bound(USAGE_BUCKETS - 1), UINT64_MAX);
}

static void
test_quantile(void **state)
{
  struct usage_times times;

  (void)state;
  memset(&times, 0, sizeof times);
  assert_int_equal(usage_quantile(&times, 0.5), 0);
  usage_took(&times, 1000, 98);
  usage_took(&times, 1000000, 1);
  usage_took(&times, UINT64_C(60000000000), 1);
  assert_int_equal(usage_quantile(&times, 0.5), 16384);
  assert_int_equal(usage_quantile(&times, 0.98), 16384);
  assert_int_equal(usage_quantile(&times, 0.99), 1048576);
  /* It took longer than any end that could be told. */
  assert_int_equal(usage_quantile(&times, 1), usage_bound(USAGE_BUCKETS - 2));
}

struct counter {
  struct usages *usages;
  unsigned loop;
  pthread_t thread;
};

static void *
count(void *opaque)
{
  const struct counter *counter = opaque;

  for (unsigned i = 0; i < REQUESTS; i++) {
    struct usage *usage = usage_of(counter->usages, counter->loop);
    usage_took(&usage->took[i % USAGE_KINDS], 20000, 2);
    usage_add(&usage->read, 3);
    usage_add(&usage->written, 5);
  }
  return NULL;
}

/* Loops that begin at once get one each, and nothing is lost. */
static void
test_loops(void **state)
{
  struct usages usages = { .first = NULL };
  struct counter counters[LOOPS];
  struct usage_sum sum = { .read = 0 };
  unsigned n = 0;

  (void)state;
  for (unsigned i = 0; i < LOOPS; i++) {
    counters[i] = (struct counter){ .usages = &usages, .loop = i };
    assert_int_equal(
      pthread_create(&counters[i].thread, NULL, count, &counters[i]), 0);
  }
  for (unsigned i = 0; i < LOOPS; i++)
    pthread_join(counters[i].thread, NULL);
  for (struct usage *u = atomic_load(&usages.first); u; u = u->next)
    n++;
  assert_int_equal(n, LOOPS);

  usage_sum(&usages, &sum);
  assert_int_equal(sum.read, 3 * LOOPS * REQUESTS);
  assert_int_equal(sum.written, 5 * LOOPS * REQUESTS);
  for (unsigned kind = 0; kind < USAGE_KINDS; kind++) {
    const uint64_t wanted = UINT64_C(2) * LOOPS * REQUESTS / USAGE_KINDS;
    assert_int_equal(sum.took[kind].total, wanted);
    assert_int_equal(sum.took[kind].count[1], wanted);
    assert_int_equal(sum.took[kind].nsec, wanted * 20000);
  }
  usages_clear(&usages);
  assert_null(atomic_load(&usages.first));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_bounds),
    cmocka_unit_test(test_quantile),
    cmocka_unit_test(test_loops),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
