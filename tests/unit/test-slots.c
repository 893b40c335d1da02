/* SPDX-License-Identifier: BSD-2-Clause */
/* test-slots: the slots of a BAT, on a grid and off it, against a plain look at
 * every entry. */
#include "config.h"

#include "image/bat.h"
#include "image/slots.h"
#include "unit/unit.h"

#define NBLK 600
#define LEN 9
#define END 20000

/* Slots at random places of a grid, none twice, and some entries without. */
static uint32_t
fill(uint32_t *bat, uint32_t origin, uint32_t stride)
{
  static bool taken[END / LEN];
  uint32_t n = 0;

  memset(taken, 0, sizeof taken);
  for (uint32_t blk = 0; blk < NBLK; blk++) {
    uint32_t place = unit_random() % ((END - origin - LEN) / stride);
    bat[blk] = NO_SLOT;
    if (taken[place])
      continue;
    taken[place] = true;
    bat[blk] = origin + place * stride;
    n++;
  }
  return n;
}

static uint32_t
model_next(const uint32_t *bat, uint64_t sec)
{
  uint32_t next = NO_SLOT;

  for (uint32_t blk = 0; blk < NBLK; blk++)
    if (bat[blk] >= sec && bat[blk] < next)
      next = bat[blk];
  return next;
}

/* Every slot begins a stretch or follows within one, and no place where a
 * block would fit lies in one. */
static void
compare_stretches(const struct slots *s, const uint32_t *bat)
{
  uint64_t from, end, last = 0;
  uint32_t at = 0, slot = model_next(bat, 0);

  while (slots_stretch(s, &at, &from, &end)) {
    assert_true(from >= last);
    assert_int_equal(from, slot);
    while (slot != NO_SLOT && slot < end) {
      uint32_t next = model_next(bat, (uint64_t)slot + 1);
      if (next != NO_SLOT && next < end)
        assert_true(next - slot < 2 * LEN);
      else
        assert_int_equal(end, slot + LEN);
      slot = next;
    }
    last = end;
  }
  assert_int_equal(slot, NO_SLOT);
}

/* Of a table with n slots. */
static void
find(struct slots *s, const uint32_t *slot, uint32_t n, uint64_t end)
{
  struct bat bat;

  assert_int_equal(bat_alloc(&bat, NBLK), 0);
  for (uint32_t blk = 0; blk < NBLK; blk++)
    bat_set(&bat, blk, slot[blk]);
  assert_int_equal(slots_find(s, &bat, NBLK, n, LEN, end), 0);
  bat_free(&bat);
}

static void
compare(const uint32_t *bat, uint32_t n, bool on_grid)
{
  struct slots s;

  find(&s, bat, n, END);
  assert_int_equal(s.n, n);
  assert_int_equal(s.sorted == NULL, on_grid);
  for (uint32_t sec = 0; sec < END + 10; sec++)
    assert_int_equal(slots_next(&s, sec), model_next(bat, sec));
  assert_int_equal(slots_next(&s, 1ULL << 40), NO_SLOT);
  compare_stretches(&s, bat);
  slots_free(&s);
}

static void
test_grids(void **state)
{
  (void)state;
  static const uint32_t strides[] = { LEN, 16 };
  uint32_t bat[NBLK];

  for (unsigned i = 0; i < 2; i++)
    for (uint32_t origin = 0; origin < 20; origin += 5) {
      uint32_t n = fill(bat, origin, strides[i]);
      compare(bat, n, true);
    }
}

/* One of them lies elsewhere: in front of the others, or behind them. */
static void
test_off_grid(void **state)
{
  (void)state;
  static const uint32_t odd[] = { 3, END - LEN };
  uint32_t bat[NBLK];

  for (unsigned i = 0; i < 2; i++) {
    uint32_t n = fill(bat, 40, 16);
    n += bat[NBLK / 2] == NO_SLOT;
    bat[NBLK / 2] = odd[i];
    compare(bat, n, false);
  }
}

/* What is no grid for two blocks at one place. */
static void
test_twice(void **state)
{
  (void)state;
  uint32_t bat[NBLK];
  struct slots s;
  uint32_t n = fill(bat, 8, LEN);

  uint32_t first = 0, last = NBLK - 1;
  while (bat[first] == NO_SLOT)
    first++;
  n += bat[last] == NO_SLOT;
  bat[last] = bat[first];
  find(&s, bat, n, END);
  assert_non_null(s.sorted);
  unsigned same = 0;
  for (uint32_t i = 1; i < n; i++) {
    assert_true(s.sorted[i - 1] <= s.sorted[i]);
    same += s.sorted[i - 1] == s.sorted[i];
  }
  assert_int_equal(same, 1);
  slots_free(&s);
}

/* All 32 bits of a sector take part in the order. */
static void
test_far(void **state)
{
  (void)state;
  uint32_t bat[NBLK];
  struct slots s;

  for (uint32_t blk = 0; blk < NBLK; blk++)
    bat[blk] = NO_SLOT - 1 - unit_random() % 0xf0000000U;
  find(&s, bat, NBLK, 1ULL << 33);
  assert_non_null(s.sorted);
  for (uint32_t i = 1; i < NBLK; i++)
    assert_true(s.sorted[i - 1] <= s.sorted[i]);
  slots_free(&s);
}

static void
test_none(void **state)
{
  (void)state;
  uint32_t bat[NBLK], at = 0;
  uint64_t from, end;
  struct slots s;

  memset(bat, 0xff, sizeof bat);
  find(&s, bat, 0, END);
  assert_int_equal(slots_next(&s, 0), NO_SLOT);
  assert_false(slots_stretch(&s, &at, &from, &end));
  slots_free(&s);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_grids), cmocka_unit_test(test_off_grid),
    cmocka_unit_test(test_twice), cmocka_unit_test(test_far),
    cmocka_unit_test(test_none),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
