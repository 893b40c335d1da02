/* SPDX-License-Identifier: BSD-2-Clause */
/* test-batmap: Xen's batmap, field by field, its checksum by either version's
 * rule, and what is refused. */
#include "config.h"

#include <errno.h>

#include "format/batmap.h"
#include "unit/unit.h"

#define ENTRIES 4096

static void
make(uint8_t *buf)
{
  memset(buf, 0, BATMAP_HEADER_SIZE);
  memcpy(buf, "tdbatmap", 8);
  unit_put(buf, 8, 8, 0x12000);
  unit_put(buf, 16, 4, 1);
  unit_put(buf, 20, 4, 0x00010002);
  unit_put(buf, 24, 4, 0xfffffffe);
  for (unsigned i = 28; i < BATMAP_HEADER_SIZE; i++)
    buf[i] = (uint8_t)i;
}

static void
test_parse(void **state)
{
  (void)state;
  uint8_t buf[BATMAP_HEADER_SIZE];
  struct batmap b;
  const char *why;
  make(buf);
  assert_int_equal(batmap_parse(buf, ENTRIES, &b, &why), 0);
  assert_true(b.off == 0x12000);
  assert_int_equal(b.nsec, 1);
  assert_int_equal(b.version, 0x00010002);
  assert_int_equal(b.checksum, 0xfffffffe);
}

static void
test_refused(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    size_t off;
    unsigned bytes;
    uint64_t value;
    uint32_t entries;
    int result;
  } rows[] = {
    { "cookie", 0, 1, 'T', ENTRIES, -ENOENT },
    { "version 1.1", 20, 4, 0x00010001, ENTRIES, 0 },
    { "version 1.3", 20, 4, 0x00010003, ENTRIES, -EINVAL },
    { "version 0", 20, 4, 0, ENTRIES, -EINVAL },
    { "no sectors", 16, 4, 0, 1, -EINVAL },
    { "a bit too few", 16, 4, 1, ENTRIES + 1, -EINVAL },
    { "more than needed", 16, 4, 7, ENTRIES, 0 },
    { "hostile size", 16, 4, UINT32_MAX, ENTRIES, -EINVAL },
    { "size whose bits overflow", 16, 4, 1 << 20, ENTRIES, -EINVAL },
    { "at 0", 8, 8, 0, ENTRIES, -EINVAL },
    { "not of sectors", 8, 8, 0x12001, ENTRIES, -EINVAL },
    { "beyond any file", 8, 8, 1ULL << 63, ENTRIES, -EINVAL },
    { "largest", 16, 4, (HEADER_MAX_BLOCKS + 4095) / 4096,
      HEADER_MAX_BLOCKS, 0 },
    { "larger", 16, 4, (HEADER_MAX_BLOCKS + 4095) / 4096 + 1,
      HEADER_MAX_BLOCKS, -EINVAL },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    uint8_t buf[BATMAP_HEADER_SIZE];
    struct batmap b;
    const char *why = NULL;
    make(buf);
    unit_put(buf, rows[i].off, rows[i].bytes, rows[i].value);
    ROW_INT(rows[i].name, batmap_parse(buf, rows[i].entries, &b, &why),
            rows[i].result);
    if (rows[i].result < 0)
      ROW_TRUE(rows[i].name, why != NULL);
  }
}

static void
test_sum(void **state)
{
  (void)state;
  static const uint8_t map[] = { 0x01, 0x80, 0xff };
  struct batmap b = { .version = 0x00010002, .checksum = ~0x180U };
  assert_true(batmap_sum_ok(&b, map, sizeof map));
  b.checksum++;
  assert_false(batmap_sum_ok(&b, map, sizeof map));
  /* 1.1 added signed bytes: 1 - 128 - 1. */
  b.version = 0x00010001;
  assert_false(batmap_sum_ok(&b, map, sizeof map));
  b.checksum = ~(uint32_t)-128;
  assert_true(batmap_sum_ok(&b, map, sizeof map));
}

static void
test_format(void **state)
{
  (void)state;
  uint8_t buf[BATMAP_HEADER_SIZE], out[BATMAP_HEADER_SIZE];
  uint8_t map[512] = { 0x01 };
  struct batmap b;
  const char *why;
  for (uint32_t version = 0x00010001; version <= 0x00010002; version++) {
    make(buf);
    unit_put(buf, 20, 4, version);
    assert_int_equal(batmap_parse(buf, ENTRIES, &b, &why), 0);
    batmap_format(&b, map, sizeof map, out);
    assert_memory_equal(buf, out, sizeof buf);

    map[5] = 0xff;
    batmap_format(&b, map, sizeof map, out);
    assert_int_equal(batmap_parse(out, ENTRIES, &b, &why), 0);
    assert_true(batmap_sum_ok(&b, map, sizeof map));
    unit_put(buf, 24, 4, unit_get(out, 24, 4));
    assert_memory_equal(buf, out, sizeof buf);
    map[5] = 0;
  }
}

static void
test_expected(void **state)
{
  (void)state;
  static const struct {
    char creator[5];
    uint32_t version;
    bool expected;
  } rows[] = {
    { "tap", 0x00000001, false }, { "tap", 0x00010001, true },
    { "tap", 0x00010003, true },  { "win ", 0x000a0000, false },
    { "tap ", 0x00010003, false },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    struct footer f = { .creator_version = rows[i].version };
    memcpy(f.creator, rows[i].creator, 4);
    ROW_INT(rows[i].creator, batmap_expected(&f), rows[i].expected);
  }
}

static void
test_header_off(void **state)
{
  (void)state;
  struct header h = { .table_offset = 1536, .max_table_entries = 128 };
  assert_true(batmap_header_off(&h) == 2048);
  h.max_table_entries = 129;
  assert_true(batmap_header_off(&h) == 2560);
  h.max_table_entries = UINT32_MAX;
  assert_true(batmap_header_off(&h) == 1536 + (1ULL << 34));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_parse),      cmocka_unit_test(test_refused),
    cmocka_unit_test(test_sum),        cmocka_unit_test(test_format),
    cmocka_unit_test(test_expected),   cmocka_unit_test(test_header_off),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
