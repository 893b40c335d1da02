/* SPDX-License-Identifier: BSD-2-Clause */
/* test-bitmap: bitmaps against a model of one bool a bit. */
#include "config.h"

#include "base/bitmap.h"
#include "unit/unit.h"

#define NBIT 200
#define BYTES (NBIT / 8)

static void
fill_random(uint8_t *map, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    /* Runs of whole bytes as well as mixed ones. */
    uint32_t r = unit_random();
    map[i] = r % 4 == 0 ? 0 : r % 4 == 1 ? 0xff : (uint8_t)(r >> 8);
  }
}

static void
test_order(void **state)
{
  (void)state;
  static const uint8_t map[] = { 0x80, 0x01, 0x40 };
  for (uint32_t bit = 0; bit < 24; bit++)
    assert_int_equal(bitmap_test(map, bit),
                     bit == 0 || bit == 15 || bit == 17);
}

static void
test_run(void **state)
{
  (void)state;
  for (unsigned round = 0; round < 20; round++) {
    /* Not a byte too many, so that ASan sees a read beyond. */
    uint8_t *map = malloc(BYTES);
    assert_non_null(map);
    fill_random(map, BYTES);
    if (round == 0)
      memset(map, 0, BYTES);
    else if (round == 1)
      memset(map, 0xff, BYTES);

    for (uint32_t from = 0; from < NBIT; from++)
      for (uint32_t end = from + 1; end <= NBIT; end++) {
        uint32_t n = 1;
        while (from + n < end &&
               bitmap_test(map, from + n) == bitmap_test(map, from))
          n++;
        assert_int_equal(bitmap_run(map, from, end), n);
      }
    free(map);
  }
}

static void
test_change(bool set)
{
  for (uint32_t from = 0; from <= NBIT; from++)
    for (uint32_t n = 0; n <= NBIT - from; n++) {
      uint8_t before[BYTES], map[BYTES];
      fill_random(before, BYTES);
      memcpy(map, before, BYTES);
      if (set)
        bitmap_set(map, from, n);
      else
        bitmap_clear(map, from, n);
      for (uint32_t bit = 0; bit < NBIT; bit++) {
        bool inside = bit >= from && bit < from + n;
        bool expected = inside ? set : bitmap_test(before, bit);
        if (bitmap_test(map, bit) != expected)
          fail_msg("from %u, n %u: bit %u", from, n, bit);
      }
    }
}

static void
test_set(void **state)
{
  (void)state;
  test_change(true);
}

static void
test_clear(void **state)
{
  (void)state;
  test_change(false);
}

static void
test_turn(void **state)
{
  (void)state;
  for (unsigned bit = 0; bit < 16; bit++) {
    uint8_t map[2] = { 0, 0 };
    map[bit / 8] = (uint8_t)(1 << bit % 8);
    bitmap_turn(map, sizeof map);
    for (unsigned i = 0; i < 16; i++)
      assert_int_equal(bitmap_test(map, i), i == bit);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_order),
    cmocka_unit_test(test_run),
    cmocka_unit_test(test_set),
    cmocka_unit_test(test_clear),
    cmocka_unit_test(test_turn),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
