/* SPDX-License-Identifier: BSD-2-Clause */
/* test-size: sizes as people write them, names of errors, messages. */
#include "config.h"

#include <errno.h>

#include "base/error.h"
#include "unit/unit.h"

static void
test_sizes(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    int result;
    uint64_t size;
  } rows[] = {
    { "0", 0, 0 },
    { "512", 0, 512 },
    { "64K", 0, 65536 },
    { "64k", 0, 65536 },
    { "2M", 0, 2 << 20 },
    { "10G", 0, 10ULL << 30 },
    { "2T", 0, 2ULL << 40 },
    { "3P", 0, 3ULL << 50 },
    { "15E", 0, 15ULL << 60 },
    { "1.5T", 0, 3ULL << 39 },
    { "0.5K", 0, 512 },
    { "1.5", -EINVAL, 0 },
    { "1.0", 0, 1 },
    { "007", 0, 7 },
    /* One byte, but finer than is looked at. */
    { "0.000000000931322574615478515625G", -EINVAL, 0 },
    { "0.0009765625K", 0, 1 },
    { "0.1K", -EINVAL, 0 }, /* 102.4 bytes */
    { "18446744073709551615", 0, UINT64_MAX },
    { "18446744073709551616", -ERANGE, 0 },
    { "99999999999999999999999", -ERANGE, 0 },
    { "16E", -ERANGE, 0 },
    { "15.9999999E", -EINVAL, 0 },
    { "18014398509481984K", -ERANGE, 0 },
    { "", -EINVAL, 0 },
    { "K", -EINVAL, 0 },
    { "-1", -EINVAL, 0 },
    { "+1", -EINVAL, 0 },
    { " 1", -EINVAL, 0 },
    { "1 ", -EINVAL, 0 },
    { "1.", -EINVAL, 0 },
    { "1.K", -EINVAL, 0 },
    { ".5K", -EINVAL, 0 },
    { "1KB", 0, 1024 },
    { "1KiB", 0, 1024 },
    { "1kib", 0, 1024 },
    { "1.5TiB", 0, 3ULL << 39 },
    { "1EB", 0, 1ULL << 60 },
    { "512B", 0, 512 },
    { "512iB", -EINVAL, 0 },
    { "1Ki", -EINVAL, 0 },
    { "1KiBB", -EINVAL, 0 },
    { "1KB ", -EINVAL, 0 },
    { "1BK", -EINVAL, 0 },
    { "1KK", -EINVAL, 0 },
    { "1X", -EINVAL, 0 },
    { "0x10", -EINVAL, 0 },
    { "1.2.3K", -EINVAL, 0 },
    { "1e3", -EINVAL, 0 },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    uint64_t size = 12345;
    ROW_INT(rows[i].text, vhd_parse_size(rows[i].text, &size),
            rows[i].result);
    /* A refused text changes nothing. */
    ROW_TRUE(rows[i].text,
             size == (rows[i].result == 0 ? rows[i].size : 12345));
  }
}

static void
test_code_names(void **state)
{
  (void)state;
  static const int codes[] = {
    VHD_OK,
    VHD_FOOTER_MISSING,
    VHD_FOOTER_CHECKSUM,
    VHD_FOOTER_CORRUPT,
    VHD_FORMAT_UNKNOWN,
    VHD_FORMAT_VERSION,
    VHD_HEADER_CHECKSUM,
    VHD_HEADER_VERSION,
    VHD_HEADER_CORRUPT,
    VHD_ALLOCATION_FAILED,
    VHD_BAT_CORRUPT,
    VHD_BLOCK_SIZE,
    VHD_BITMAP_MISMATCH,
    VHD_PARENT_MISSING,
    VHD_PARENT_ID,
    VHD_PARENT_TIMESTAMP,
    VHD_METADATA_READ,
    VHD_METADATA_WRITE,
    VHD_SIZE,
    VHD_FILE_SIZE,
    VHD_PARENT_DENIED,
    VHD_PARENT_SIZE,
    VHD_CHAIN_CYCLE,
    VHD_CHAIN_PARENT,
    VHD_LIMIT,
    VHD_TYPE,
    VHD_STATE,
    VHD_SYSTEM,
    VHD_BUSY,
    VHD_READ_ONLY,
    VHD_ARGUMENT,
    VHD_LOCATOR,
    VHD_BATMAP,
    VHD_LEAK,
    VHD_JOURNAL,
  };
  for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
    assert_string_not_equal(vhd_code_name(codes[i]), "unknown");
    for (size_t j = 0; j < i; j++)
      assert_string_not_equal(vhd_code_name(codes[i]),
                              vhd_code_name(codes[j]));
  }
  assert_string_equal(vhd_code_name(VHD_BAT_CORRUPT), "bat-corrupt");
  assert_string_equal(vhd_code_name(-1), "unknown");
  assert_string_equal(vhd_code_name(0xffff), "unknown");
}

static void
test_fail(void **state)
{
  (void)state;
  struct vhd_error err;
  assert_int_equal(vhd_fail(&err, VHD_SIZE, EINVAL, "%s: %d", "x", 7),
                   -EINVAL);
  assert_int_equal(err.code, VHD_SIZE);
  assert_int_equal(err.sys, EINVAL);
  assert_string_equal(err.message, "x: 7");

  assert_int_equal(vhd_fail_sys(&err, ENOENT, "%s", "x"), -ENOENT);
  assert_int_equal(err.code, VHD_SYSTEM);
  assert_string_equal(err.message, "x: No such file or directory");

  assert_int_equal(vhd_fail(NULL, VHD_SIZE, EIO, "nobody reads it"), -EIO);
}

static void
test_fail_text(void **state)
{
  (void)state;
  struct vhd_error err;
  /* What a file says must not reach the terminal as it is. */
  vhd_fail(&err, VHD_SIZE, EINVAL, "a\nb\x1b[2J\xff%s", "\xc2\x9b");
  assert_string_equal(err.message, "a?b?[2J??");

  /* Part of a message may come from the error itself. */
  vhd_fail(&err, VHD_SIZE, EINVAL, "inner");
  vhd_fail(&err, VHD_CHAIN_PARENT, EINVAL, "outer: %s", err.message);
  assert_string_equal(err.message, "outer: inner");

  /* Cut, not overrun; also within a character. */
  char text[3001];
  for (size_t i = 0; i + 3 < sizeof text; i += 3)
    memcpy(text + i, "\xe2\x82\xac", 3);
  text[sizeof text - 1] = '\0';
  text[sizeof text - 2] = '\0';
  vhd_fail(&err, VHD_SIZE, EINVAL, "%s", text);
  assert_true(strlen(err.message) <= sizeof err.message - 1);
  assert_true(strlen(err.message) > sizeof err.message - 4);
  vhd_fail_sys(&err, EIO, "%s", text);
  assert_true(strlen(err.message) <= sizeof err.message - 1);
}

static void
test_version(void **state)
{
  (void)state;
  assert_string_equal(vhd_version(), PACKAGE_VERSION);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_sizes),     cmocka_unit_test(test_code_names),
    cmocka_unit_test(test_fail),      cmocka_unit_test(test_fail_text),
    cmocka_unit_test(test_version),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
