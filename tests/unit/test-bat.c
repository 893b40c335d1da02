/* SPDX-License-Identifier: BSD-2-Clause */
/* test-bat: a block table against a plain array of its slots, and what of it
 * takes memory. */
#include "config.h"

#include <sys/mman.h>
#include <unistd.h>

#include "image/bat.h"
#include "unit/unit.h"

/* Not whole pages; the last has one entry. */
#define N (9 * BAT_PAGE + 1)

static uint32_t model[N];

/* A slot in each entry, in none, or in one of a hundred, page by page. */
static void
fill(struct bat *b)
{
  static struct be32 raw[N];

  for (uint32_t blk = 0; blk < N; blk++) {
    unsigned kind = blk / BAT_PAGE % 3;
    bool has = kind == 0 || (kind == 1 && unit_random() % 100 == 0);
    model[blk] = has ? unit_random() % NO_SLOT : NO_SLOT;
    raw[blk] = be32_put(model[blk]);
  }
  assert_int_equal(bat_alloc(b, N), 0);
  bat_take(b, 0, raw, 4 * BAT_PAGE);
  bat_take(b, 4 * BAT_PAGE, raw + 4 * BAT_PAGE, N - 4 * BAT_PAGE);
}

static void
compare_stretches(const struct bat *b, uint32_t end)
{
  uint32_t last = 0, from, to = 0;

  while (bat_stretch(b, &from, &to, end)) {
    assert_true(from >= last && from < to && to <= end);
    for (uint32_t blk = last; blk < from; blk++)
      assert_int_equal(model[blk], NO_SLOT);
    last = to;
  }
  for (uint32_t blk = last; blk < end; blk++)
    assert_int_equal(model[blk], NO_SLOT);
}

static void
compare_end(const struct bat *b, uint32_t end)
{
  uint32_t want = end;

  while (want > 0 && model[want - 1] == NO_SLOT)
    want--;
  assert_int_equal(bat_end(b, end), want);
}

static void
compare(const struct bat *b)
{
  static const uint32_t ends[] = { 0, 1, BAT_PAGE, 3 * BAT_PAGE + 7, N - 1, N };

  for (uint32_t blk = 0; blk < N; blk++) {
    assert_int_equal(bat_slot(b, blk), model[blk]);
    assert_int_equal(bat_load(b, blk), model[blk]);
  }
  for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
    uint32_t next = ends[i];
    for (uint32_t blk = ends[i]; blk-- > 0;) {
      next = model[blk] == NO_SLOT ? next : blk;
      assert_int_equal(bat_next(b, blk, ends[i]), next);
    }
    compare_stretches(b, ends[i]);
    compare_end(b, ends[i]);
  }
}

static void
test_taken(void **state)
{
  (void)state;
  struct bat b;

  fill(&b);
  compare(&b);
  bat_free(&b);
}

static void
test_set(void **state)
{
  (void)state;
  struct bat b;

  fill(&b);
  for (int i = 0; i < 3000; i++) {
    uint32_t blk = unit_random() % N;
    model[blk] = unit_random() % 2 ? NO_SLOT : unit_random() % NO_SLOT;
    bat_set(&b, blk, model[blk]);
  }
  model[N - 1] = 0;
  bat_set(&b, N - 1, 0);
  compare(&b);
  bat_free(&b);
}

static void
test_copied(void **state)
{
  (void)state;
  struct bat b, copy;

  fill(&b);
  assert_int_equal(bat_copy(&copy, &b, N + 5000), 0);
  bat_free(&b);
  assert_int_equal(copy.n, N + 5000);
  for (uint32_t blk = N; blk < copy.n; blk++)
    assert_int_equal(bat_slot(&copy, blk), NO_SLOT);
  compare(&copy);
  bat_free(&copy);
}

/* Pages of the table that take memory; AddressSanitizer's take some anyway. */
static void
check_resident(const struct bat *b, unsigned wanted)
{
#ifndef __SANITIZE_ADDRESS__
  unsigned char in[BAT_PAGE];
  unsigned n = 0;

  assert_true(b->n <= BAT_PAGE * BAT_PAGE);
  size_t bytes = b->n * sizeof *b->entry;
  assert_int_equal(mincore(b->entry, bytes, in), 0);
  for (size_t i = 0; i * (size_t)getpagesize() < bytes; i++)
    n += in[i] & 1;
  assert_int_equal(n, wanted);
#else
  (void)b;
  (void)wanted;
#endif
}

/* Neither reading an empty table nor going through it touches it. */
static void
test_untouched(void **state)
{
  (void)state;
  static struct be32 raw[16 * BAT_PAGE];
  uint32_t n = 1U << 20, from, to = 0;
  struct bat b;

  memset(raw, 0xff, sizeof raw);
  assert_int_equal(bat_alloc(&b, n), 0);
  for (uint32_t blk = 0; blk < n; blk += ARRAY_SIZE(raw))
    bat_take(&b, blk, raw, ARRAY_SIZE(raw));
  assert_int_equal(bat_next(&b, 0, n), n);
  assert_false(bat_stretch(&b, &from, &to, n));
  check_resident(&b, 0);
  bat_set(&b, n / 2, 7);
  assert_int_equal(bat_next(&b, 0, n), n / 2);
  check_resident(&b, 1);
  bat_free(&b);
}

/* A page is looked at to its last byte, also one that is not full. */
static void
test_alone(void **state)
{
  (void)state;
  enum { ENTRIES = BAT_PAGE + 7 };
  static const uint32_t at[] = { 0, 1, BAT_PAGE - 1, BAT_PAGE, ENTRIES - 1 };
  static struct be32 raw[ENTRIES];
  struct bat b;

  for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
    memset(raw, 0xff, sizeof raw);
    raw[at[i]] = be32_put(NO_SLOT - 1);
    assert_int_equal(bat_alloc(&b, ENTRIES), 0);
    bat_take(&b, 0, raw, ENTRIES);
    assert_int_equal(bat_next(&b, 0, ENTRIES), at[i]);
    assert_int_equal(bat_slot(&b, at[i]), NO_SLOT - 1);
    assert_int_equal(bat_next(&b, at[i] + 1, ENTRIES), ENTRIES);
    bat_free(&b);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_alone),
    cmocka_unit_test(test_taken),     cmocka_unit_test(test_set),
    cmocka_unit_test(test_copied),    cmocka_unit_test(test_untouched),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
