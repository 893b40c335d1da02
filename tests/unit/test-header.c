/* SPDX-License-Identifier: BSD-2-Clause */
/* test-header: the dynamic header's 1024 bytes, field by field, and what is
 * refused. */
#include "config.h"

#include <errno.h>

#include "format/header.h"
#include "unit/unit.h"

#define CHECKSUM_OFF 36
#define DISK_SIZE (100ULL << 20)

static struct header
sample(void)
{
  struct header h = {
    .table_offset = 0x600,
    .max_table_entries = 50,
    .block_size = 2 << 20,
    .parent_id = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
    .parent_timestamp = 0x21222324,
  };
  for (unsigned i = 0; i < HEADER_NAME_SIZE; i++)
    h.parent_name[i] = (uint8_t)(i * 7 + 1);
  for (uint32_t i = 0; i < LOCATOR_COUNT; i++)
    h.locator[i] = (struct locator) {
      .code = LOCATOR_W2RU + i,
      .space = 512 * (i + 1),
      .sectors = i % 2 != 0,
      .len = 2 * i + 1,
      .off = 0x10000 * (i + 1),
    };
  return h;
}

static void
test_format(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    size_t off;
    unsigned bytes;
    uint64_t value;
  } rows[] = {
    { "cookie", 0, 8, 0x6378737061727365 },
    { "next", 8, 8, UINT64_MAX },
    { "table offset", 16, 8, 0x600 },
    { "version", 24, 4, 0x00010000 },
    { "entries", 28, 4, 50 },
    { "block size", 32, 4, 2 << 20 },
    { "parent id", 40, 8, 0x0102030405060708 },
    { "parent id, second half", 48, 8, 0x090a0b0c0d0e0f10 },
    { "parent timestamp", 56, 4, 0x21222324 },
    { "reserved", 60, 4, 0 },
    { "name, first bytes", 64, 2, 0x0108 },
    { "name, last byte", 575, 1, (511 * 7 + 1) & 0xff },
    { "first locator's code", 576, 4, LOCATOR_W2RU },
    { "first locator's space, in bytes", 580, 4, 512 },
    { "second locator's space, in sectors", 604, 4, 2 },
    { "second locator's length", 608, 4, 3 },
    { "second locator's reserved", 612, 4, 0 },
    { "second locator's place", 616, 8, 0x20000 },
    { "last locator's place", 760, 8, 0x80000 },
  };
  uint8_t buf[HEADER_SIZE], copy[HEADER_SIZE];
  struct header h = sample();
  memset(buf, 0xee, sizeof buf);
  header_format(&h, buf);
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
    ROW_INT(rows[i].name, unit_get(buf, rows[i].off, rows[i].bytes),
            rows[i].value);
  for (size_t i = 768; i < HEADER_SIZE; i++)
    assert_int_equal(buf[i], 0);
  memcpy(copy, buf, sizeof copy);
  unit_checksum(copy, sizeof copy, CHECKSUM_OFF);
  assert_memory_equal(buf, copy, sizeof buf);
}

static void
test_parse(void **state)
{
  (void)state;
  uint8_t buf[HEADER_SIZE];
  struct header h = sample(), parsed;
  header_format(&h, buf);
  assert_int_equal(header_parse(buf, "p", DISK_SIZE, &parsed, NULL), 0);
  assert_true(parsed.table_offset == h.table_offset);
  assert_int_equal(parsed.max_table_entries, h.max_table_entries);
  assert_int_equal(parsed.block_size, h.block_size);
  assert_memory_equal(parsed.parent_id, h.parent_id, 16);
  assert_int_equal(parsed.parent_timestamp, h.parent_timestamp);
  assert_memory_equal(parsed.parent_name, h.parent_name, HEADER_NAME_SIZE);
  for (unsigned i = 0; i < LOCATOR_COUNT; i++) {
    assert_int_equal(parsed.locator[i].code, h.locator[i].code);
    assert_int_equal(parsed.locator[i].space, h.locator[i].space);
    assert_int_equal(parsed.locator[i].sectors, h.locator[i].sectors);
    assert_int_equal(parsed.locator[i].len, h.locator[i].len);
    assert_true(parsed.locator[i].off == h.locator[i].off);
  }
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
    uint64_t disk_size;
    int code;
    bool keep_sum;
  } rows[] = {
    { "cookie", 0, 1, 'C', DISK_SIZE, VHD_HEADER_CORRUPT, false },
    { "cookie before checksum", 0, 1, 'C', DISK_SIZE, VHD_HEADER_CORRUPT,
      true },
    { "checksum", 1023, 1, 1, DISK_SIZE, VHD_HEADER_CHECKSUM, true },
    { "version", 24, 4, 0x00020000, DISK_SIZE, VHD_HEADER_VERSION, false },
    { "next does not matter", 8, 8, 0, DISK_SIZE, VHD_OK, false },
    { "table at 0", 16, 8, 0, DISK_SIZE, VHD_HEADER_CORRUPT, false },
    { "table not of sectors", 16, 8, 1537, DISK_SIZE, VHD_HEADER_CORRUPT,
      false },
    { "table at 2^62", 16, 8, 1ULL << 62, DISK_SIZE, VHD_HEADER_CORRUPT,
      false },
    { "table at 2^64-512", 16, 8, 0ULL - 512, DISK_SIZE, VHD_HEADER_CORRUPT,
      false },
    { "no entries", 28, 4, 0, DISK_SIZE, VHD_HEADER_CORRUPT, false },
    { "an entry too few", 28, 4, 49, DISK_SIZE, VHD_HEADER_CORRUPT, false },
    { "just enough", 28, 4, 50, DISK_SIZE, VHD_OK, false },
    { "part of a block needs a whole one", 28, 4, 50, DISK_SIZE + 512,
      VHD_HEADER_CORRUPT, false },
    { "too many do not matter here", 28, 4, UINT32_MAX, DISK_SIZE, VHD_OK,
      false },
    { "block size 0", 32, 4, 0, DISK_SIZE, VHD_BLOCK_SIZE, false },
    { "block size 512", 32, 4, 512, DISK_SIZE, VHD_BLOCK_SIZE, false },
    { "block size 3 MiB", 32, 4, 3 << 20, DISK_SIZE, VHD_BLOCK_SIZE, false },
    { "block size 2 GiB", 32, 4, 1U << 31, DISK_SIZE, VHD_BLOCK_SIZE,
      false },
    { "block size 2^32-1", 32, 4, UINT32_MAX, DISK_SIZE, VHD_BLOCK_SIZE,
      false },
    { "block size 512 MiB", 32, 4, 512U << 20, DISK_SIZE, VHD_BLOCK_SIZE,
      false },
    { "block size 256 MiB", 32, 4, 256U << 20, DISK_SIZE, VHD_OK, false },
    { "block size 4 KiB", 32, 4, 4096, 50 * 4096, VHD_OK, false },
    { "block size 2 KiB", 32, 4, 2048, 50 * 2048, VHD_BLOCK_SIZE, false },
    { "more blocks than the limit", 32, 4, 4096, 2040ULL << 30, VHD_LIMIT,
      false },
    { "locators do not matter here", 576, 8, UINT64_MAX, DISK_SIZE, VHD_OK,
      false },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    uint8_t buf[HEADER_SIZE];
    struct header h = sample();
    header_format(&h, buf);
    unit_put(buf, rows[i].off, rows[i].bytes, rows[i].value);
    if (!rows[i].keep_sum)
      unit_checksum(buf, sizeof buf, CHECKSUM_OFF);
    struct vhd_error err = { .message = "" };
    int r = header_parse(buf, "disk.vhd", rows[i].disk_size, &h, &err);
    ROW_INT(rows[i].name, err.code, rows[i].code);
    ROW_INT(rows[i].name, r, rows[i].code == VHD_OK ? 0 : -EINVAL);
    if (r < 0)
      ROW_TRUE(rows[i].name, strncmp(err.message, "disk.vhd: ", 10) == 0);
  }
}

static void
test_largest(void **state)
{
  (void)state;
  /* 2040 GiB in blocks of 512 KiB is allowed, and is the limit. */
  uint8_t buf[HEADER_SIZE];
  struct header h = sample();
  h.block_size = 512 << 10;
  h.max_table_entries = HEADER_MAX_BLOCKS;
  header_format(&h, buf);
  assert_int_equal(
    header_parse(buf, "p", VHD_MAX_DYNAMIC_SIZE, &h, NULL), 0);
}

static void
test_every_byte(void **state)
{
  (void)state;
  for (size_t i = 0; i < HEADER_SIZE; i++) {
    uint8_t buf[HEADER_SIZE];
    struct header h = sample();
    header_format(&h, buf);
    buf[i] ^= 0x10;
    assert_int_equal(header_parse(buf, "p", DISK_SIZE, &h, NULL), -EINVAL);
  }
}

static void
test_bitmap_sectors(void **state)
{
  (void)state;
  assert_int_equal(header_bitmap_sectors(4096), 1);
  assert_int_equal(header_bitmap_sectors(512 << 10), 1);
  assert_int_equal(header_bitmap_sectors(2 << 20), 1);
  assert_int_equal(header_bitmap_sectors(4 << 20), 2);
  assert_int_equal(header_bitmap_sectors(256 << 20), 128);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_format),         cmocka_unit_test(test_parse),
    cmocka_unit_test(test_refused),        cmocka_unit_test(test_largest),
    cmocka_unit_test(test_every_byte),
    cmocka_unit_test(test_bitmap_sectors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
