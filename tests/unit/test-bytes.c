/* SPDX-License-Identifier: BSD-2-Clause */
/* test-bytes: integers as they lie on disk, and arithmetic on them. */
#include "config.h"

#include "base/arith.h"
#include "base/bytes.h"
#include "unit/unit.h"

static void
test_layout(void **state)
{
  (void)state;
  /* No padding whatever precedes: structs of these have the disk's layout. */
  struct {
    char c;
    struct be16 a;
    struct be64 b;
    struct be32 d;
  } s;
  assert_int_equal(sizeof s, 1 + 2 + 8 + 4);
  assert_int_equal(_Alignof(struct be64), 1);
}

static void
test_order(void **state)
{
  (void)state;
  static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 0xf8 };
  struct be16 a;
  struct be32 b;
  struct be64 c;
  memcpy(&a, bytes, 2);
  memcpy(&b, bytes, 4);
  memcpy(&c, bytes, 8);
  assert_int_equal(be16_get(a), 0x0102);
  assert_int_equal(be32_get(b), 0x01020304);
  assert_true(be64_get(c) == 0x01020304050607f8);
  struct le16 d;
  struct le32 e;
  struct le64 f;
  memcpy(&d, bytes, 2);
  memcpy(&e, bytes, 4);
  memcpy(&f, bytes, 8);
  assert_int_equal(le16_get(d), 0x0201);
  assert_int_equal(le32_get(e), 0x04030201);
  assert_true(le64_get(f) == 0xf807060504030201);
}

static void
test_round_trip(void **state)
{
  (void)state;
  static const uint64_t values[] = {
    0, 1, 0x7f, 0x80, 0xff00, 0xfffe, 0x12345678, 0x80000000, 0xffffffff,
    0x0123456789abcdef, 0x8000000000000000, UINT64_MAX,
  };
  for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
    uint64_t v = values[i];
    assert_int_equal(be16_get(be16_put((uint16_t)v)), (uint16_t)v);
    assert_int_equal(be32_get(be32_put((uint32_t)v)), (uint32_t)v);
    assert_true(be64_get(be64_put(v)) == v);
    struct be64 raw = be64_put(v);
    assert_true(unit_get((uint8_t *)&raw, 0, 8) == v);
    assert_true(le64_get(le64_put(v)) == v);
  }
}

static void
test_power_of_two(void **state)
{
  (void)state;
  for (unsigned bit = 0; bit < 64; bit++)
    assert_true(is_power_of_two(1ULL << bit));
  assert_false(is_power_of_two(0));
  for (unsigned bit = 1; bit < 64; bit++)
    assert_false(is_power_of_two((1ULL << bit) + 1));
  assert_false(is_power_of_two(UINT64_MAX));
}

static void
test_rounding(void **state)
{
  (void)state;
  static const struct {
    uint64_t v, to, up, down;
  } rows[] = {
    { 0, 512, 0, 0 },
    { 1, 512, 512, 0 },
    { 511, 512, 512, 0 },
    { 512, 512, 512, 512 },
    { 513, 512, 1024, 512 },
    { (1ULL << 62) + 1, 4096, (1ULL << 62) + 4096, 1ULL << 62 },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    assert_true(round_up(rows[i].v, rows[i].to) == rows[i].up);
    assert_true(round_down(rows[i].v, rows[i].to) == rows[i].down);
  }
  assert_int_equal(DIV_ROUND_UP(0, 8), 0);
  assert_int_equal(DIV_ROUND_UP(8, 8), 1);
  assert_int_equal(DIV_ROUND_UP(9, 8), 2);
}

static void
test_range_fits(void **state)
{
  (void)state;
  static const struct {
    uint64_t off, len, size;
    bool fits;
  } rows[] = {
    { 0, 0, 0, true },
    { 0, 1, 0, false },
    { 1, 0, 0, false },
    { 0, 10, 10, true },
    { 10, 0, 10, true },
    { 9, 2, 10, false },
    { 1, UINT64_MAX, 10, false },
    { UINT64_MAX, 1, UINT64_MAX, false },
    { UINT64_MAX, 0, UINT64_MAX, true },
    { UINT64_MAX - 1, 3, 10, false },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
    assert_int_equal(range_fits(rows[i].off, rows[i].len, rows[i].size),
                     rows[i].fits);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_layout),       cmocka_unit_test(test_order),
    cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_power_of_two),
    cmocka_unit_test(test_rounding),     cmocka_unit_test(test_range_fits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
