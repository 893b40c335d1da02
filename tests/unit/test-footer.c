/* SPDX-License-Identifier: BSD-2-Clause */
/* test-footer: the footer's 512 bytes, field by field, and what is refused. */
#include "config.h"

#include <errno.h>

#include "format/footer.h"
#include "unit/unit.h"

#define CHECKSUM_OFF 64

/* A dynamic disk in which no two fields are alike. */
static const struct footer sample = {
  .features = 0x00000003,
  .data_offset = 0x0000000000003a00,
  .timestamp = 0x2a2b2c2d,
  .creator = { 'w', 'i', 'n', ' ' },
  .creator_version = 0x000a0001,
  .creator_os = { 'W', 'i', '2', 'k' },
  .original_size = 0x0000000102030400,
  .current_size = 0x0000000203040600,
  .cylinders = 0x1112,
  .heads = 0x13,
  .sectors = 0x14,
  .type = VHD_DYNAMIC,
  .id = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
  .saved_state = 1,
  .hidden = 0x55,
  .reserved = { 0xa1, 0xa2, [FOOTER_RESERVED - 1] = 0xa3 },
};

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
    { "cookie", 0, 8, 0x636f6e6563746978 },
    { "features", 8, 4, 3 },
    { "version", 12, 4, 0x00010000 },
    { "data offset", 16, 8, 0x3a00 },
    { "timestamp", 24, 4, 0x2a2b2c2d },
    { "creator", 28, 4, 0x77696e20 },
    { "creator version", 32, 4, 0x000a0001 },
    { "creator OS", 36, 4, 0x5769326b },
    { "original size", 40, 8, 0x0000000102030400 },
    { "current size", 48, 8, 0x0000000203040600 },
    { "cylinders", 56, 2, 0x1112 },
    { "heads", 58, 1, 0x13 },
    { "sectors", 59, 1, 0x14 },
    { "type", 60, 4, 3 },
    { "id, first half", 68, 8, 0x0102030405060708 },
    { "id, second half", 76, 8, 0x090a0b0c0d0e0f10 },
    { "saved state", 84, 1, 1 },
    { "hidden", 85, 1, 0x55 },
    { "reserved, first", 86, 2, 0xa1a2 },
    { "reserved, last", 511, 1, 0xa3 },
  };
  uint8_t buf[FOOTER_SIZE];
  memset(buf, 0xee, sizeof buf);
  footer_format(&sample, buf);
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
    ROW_INT(rows[i].name, unit_get(buf, rows[i].off, rows[i].bytes),
            rows[i].value);
  for (size_t i = 88; i < FOOTER_SIZE - 1; i++)
    assert_int_equal(buf[i], 0);

  uint8_t copy[FOOTER_SIZE];
  memcpy(copy, buf, sizeof copy);
  unit_checksum(copy, sizeof copy, CHECKSUM_OFF);
  assert_memory_equal(buf, copy, sizeof buf);
}

static void
test_parse(void **state)
{
  (void)state;
  uint8_t buf[FOOTER_SIZE];
  footer_format(&sample, buf);
  struct footer f;
  struct vhd_error err;
  assert_int_equal(footer_parse(buf, "p", "footer", &f, &err), 0);
  assert_int_equal(f.features, sample.features);
  assert_true(f.data_offset == sample.data_offset);
  assert_int_equal(f.timestamp, sample.timestamp);
  assert_memory_equal(f.creator, sample.creator, 4);
  assert_int_equal(f.creator_version, sample.creator_version);
  assert_memory_equal(f.creator_os, sample.creator_os, 4);
  assert_true(f.original_size == sample.original_size);
  assert_true(f.current_size == sample.current_size);
  assert_int_equal(f.cylinders, sample.cylinders);
  assert_int_equal(f.heads, sample.heads);
  assert_int_equal(f.sectors, sample.sectors);
  assert_int_equal(f.type, sample.type);
  assert_memory_equal(f.id, sample.id, 16);
  assert_int_equal(f.saved_state, 1);
  assert_int_equal(f.hidden, 0x55);
  assert_memory_equal(f.reserved, sample.reserved, sizeof f.reserved);
}

static void
test_refused(void **state)
{
  (void)state;
  enum { KEEP_SUM = 1 };
  static const struct {
    const char *name;
    size_t off;
    unsigned bytes;
    uint64_t value;
    int code;
    uint64_t type; /* put first; 0: dynamic */
    int flags;
  } rows[] = {
    { "cookie", 0, 1, 'C', VHD_FOOTER_MISSING, 0, 0 },
    { "last letter of the cookie", 7, 1, 'X', VHD_FOOTER_MISSING, 0, 0 },
    { "cookie before its checksum", 0, 1, 'C', VHD_FOOTER_MISSING, 0,
      KEEP_SUM },
    { "v_poison", 0, 8, 0x765f706f69736f6e, VHD_STATE, 0, 0 },
    { "v_poison without a checksum", 0, 8, 0x765f706f69736f6e, VHD_STATE, 0,
      KEEP_SUM },
    { "checksum", 200, 1, 1, VHD_FOOTER_CHECKSUM, 0, KEEP_SUM },
    { "checksum, last byte", 511, 1, 1, VHD_FOOTER_CHECKSUM, 0, KEEP_SUM },
    { "checksum before version", 12, 4, 0x00020000, VHD_FOOTER_CHECKSUM, 0,
      KEEP_SUM },
    { "version 2", 12, 4, 0x00020000, VHD_FORMAT_VERSION, 0, 0 },
    { "version 1.1", 12, 4, 0x00010001, VHD_FORMAT_VERSION, 0, 0 },
    { "version 0", 12, 4, 0, VHD_FORMAT_VERSION, 0, 0 },
    { "type 0", 60, 4, 0, VHD_TYPE, 0, 0 },
    { "type 1", 60, 4, 1, VHD_TYPE, 0, 0 },
    { "type 5", 60, 4, 5, VHD_TYPE, 0, 0 },
    { "type 6", 60, 4, 6, VHD_TYPE, 0, 0 },
    { "type 3 in the wrong byte", 60, 4, 0x03000000, VHD_TYPE, 0, 0 },
    { "size 0", 48, 8, 0, VHD_SIZE, 0, 0 },
    { "size 0, fixed", 48, 8, 0, VHD_SIZE, 2, 0 },
    { "size 1", 48, 8, 1, VHD_SIZE, 0, 0 },
    { "size 511", 48, 8, 511, VHD_SIZE, 0, 0 },
    { "size 513", 48, 8, 513, VHD_SIZE, 0, 0 },
    { "size 2^64-1", 48, 8, UINT64_MAX, VHD_SIZE, 0, 0 },
    { "size 2^64-512", 48, 8, 0ULL - 512, VHD_SIZE, 0, 0 },
    { "size 2^63, fixed", 48, 8, 1ULL << 63, VHD_SIZE, 2, 0 },
    { "size 2^63-512, fixed: no room for a footer", 48, 8,
      (1ULL << 63) - 512, VHD_SIZE, 2, 0 },
    { "size 2^63-1024, fixed", 48, 8, (1ULL << 63) - 1024, VHD_OK, 2, 0 },
    { "2040 GiB", 48, 8, 2040ULL << 30, VHD_OK, 0, 0 },
    { "a sector more", 48, 8, (2040ULL << 30) + 512, VHD_SIZE, 0, 0 },
    { "a sector more, child", 48, 8, (2040ULL << 30) + 512, VHD_SIZE, 4, 0 },
    { "a sector more, fixed", 48, 8, (2040ULL << 30) + 512, VHD_OK, 2, 0 },
    { "original size does not matter", 40, 8, 1, VHD_OK, 0, 0 },
    { "CHS 0 does not matter", 56, 4, 0, VHD_OK, 0, 0 },
    { "features do not matter", 8, 4, 0, VHD_OK, 0, 0 },
    { "time does not matter", 24, 4, UINT32_MAX, VHD_OK, 0, 0 },
    { "data offset 0", 16, 8, 0, VHD_FOOTER_CORRUPT, 0, 0 },
    { "data offset 0, child", 16, 8, 0, VHD_FOOTER_CORRUPT, 4, 0 },
    { "data offset not of sectors", 16, 8, 1000, VHD_FOOTER_CORRUPT, 0, 0 },
    { "data offset 2^63", 16, 8, 1ULL << 63, VHD_FOOTER_CORRUPT, 0, 0 },
    { "data offset all ones", 16, 8, UINT64_MAX, VHD_FOOTER_CORRUPT, 0, 0 },
    { "data offset 512", 16, 8, 512, VHD_OK, 0, 0 },
    { "data offset 512, fixed", 16, 8, 512, VHD_OK, 2, 0 },
    { "data offset 0, fixed", 16, 8, 0, VHD_OK, 2, 0 },
    { "data offset 32 ones, fixed", 16, 8, UINT32_MAX, VHD_OK, 2, 0 },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    uint8_t buf[FOOTER_SIZE];
    footer_format(&sample, buf);
    if (rows[i].type != 0)
      unit_put(buf, 60, 4, rows[i].type);
    if (rows[i].type == VHD_FIXED)
      unit_put(buf, 16, 8, UINT64_MAX);
    unit_checksum(buf, sizeof buf, CHECKSUM_OFF);
    unit_put(buf, rows[i].off, rows[i].bytes, rows[i].value);
    if (!(rows[i].flags & KEEP_SUM))
      unit_checksum(buf, sizeof buf, CHECKSUM_OFF);

    struct footer f;
    struct vhd_error err = { .message = "" };
    int r = footer_parse(buf, "disk.vhd", "end", &f, &err);
    ROW_INT(rows[i].name, r, rows[i].code == VHD_OK ? 0 : -EINVAL);
    ROW_INT(rows[i].name, err.code, rows[i].code);
    if (r < 0)
      ROW_TRUE(rows[i].name,
               strncmp(err.message, "disk.vhd: end: ", 15) == 0);
    /* Nobody has to want the sentence. */
    ROW_INT(rows[i].name, footer_parse(buf, "p", "end", &f, NULL), r);
  }
}

static void
test_cookie(void **state)
{
  (void)state;
  assert_true(footer_has_cookie((const uint8_t *)"conectix"));
  assert_true(footer_has_cookie((const uint8_t *)"v_poison"));
  assert_false(footer_has_cookie((const uint8_t *)"conectiX"));
  assert_false(footer_has_cookie((const uint8_t *)"cxsparse"));
}

static void
test_checksum(void **state)
{
  (void)state;
  static const uint8_t buf[] = { 1, 2, 0xff, 0xff, 0xff, 0xff, 0x80 };
  assert_int_equal(vhd_checksum(buf, sizeof buf, 2), ~0x83U);
  assert_int_equal(vhd_checksum(buf, 2, 2), ~3U);
  assert_int_equal(vhd_checksum(buf, 0, 0), ~0U);
}

/* Every byte of a footer is under its checksum. */
static void
test_every_byte(void **state)
{
  (void)state;
  for (size_t i = 0; i < FOOTER_SIZE; i++) {
    uint8_t buf[FOOTER_SIZE];
    struct footer f;
    footer_format(&sample, buf);
    buf[i] ^= 0x10;
    assert_int_equal(footer_parse(buf, "p", "end", &f, NULL), -EINVAL);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_format),     cmocka_unit_test(test_parse),
    cmocka_unit_test(test_refused),    cmocka_unit_test(test_cookie),
    cmocka_unit_test(test_checksum),   cmocka_unit_test(test_every_byte),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
