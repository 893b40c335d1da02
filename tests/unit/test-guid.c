/* SPDX-License-Identifier: BSD-2-Clause */
/* test-guid: unique ids of either byte order. */
#include "config.h"

#include "format/guid.h"
#include "unit/unit.h"

static void
test_text(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    uint8_t id[16];
    const char *text;
    bool little_endian;
  } rows[] = {
    { "Windows 8",
      { 0xad, 0xb7, 0x19, 0x75, 0x4b, 0x5b, 0x0b, 0x40, 0xb0, 0x25, 0xd0,
        0x6d, 0xab, 0x31, 0xb2, 0x6f },
      "7519b7ad-5b4b-400b-b025-d06dab31b26f",
      true },
    { "tapdisk",
      { 0x52, 0xf2, 0x8e, 0xf1, 0x93, 0x72, 0x41, 0xbb, 0xad, 0x2b, 0xb4,
        0xca, 0x3b, 0x06, 0xd3, 0x04 },
      "52f28ef1-9372-41bb-ad2b-b4ca3b06d304",
      false },
    { "a 4 in both places",
      { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x47, 0x48, 0x89, 0x0a, 0x0b,
        0x0c, 0x0d, 0x0e, 0x0f, 0x10 },
      "04030201-0605-4847-890a-0b0c0d0e0f10",
      true },
    { "RFC 4, Windows only 3",
      { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x47, 0x38, 0x89, 0x0a, 0x0b,
        0x0c, 0x0d, 0x0e, 0x0f, 0x10 },
      "01020304-0506-4738-890a-0b0c0d0e0f10",
      false },
    { "no known variant: as stored",
      { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x48, 0x09, 0x0a, 0x0b,
        0x0c, 0x0d, 0x0e, 0x0f, 0x10 },
      "01020304-0506-0748-090a-0b0c0d0e0f10",
      false },
    { "no known version: as stored",
      { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x89, 0x0a, 0x0b,
        0x0c, 0x0d, 0x0e, 0x0f, 0x10 },
      "01020304-0506-0708-890a-0b0c0d0e0f10",
      false },
    { "null", { 0 }, "00000000-0000-0000-0000-000000000000", false },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    char text[GUID_TEXT_SIZE];
    ROW_INT(rows[i].name, guid_text(rows[i].id, text),
            rows[i].little_endian);
    ROW_STRING(rows[i].name, text, rows[i].text);
  }
}

static void
test_null(void **state)
{
  (void)state;
  uint8_t id[16] = { 0 };
  assert_true(guid_is_null(id));
  for (unsigned i = 0; i < 16; i++) {
    memset(id, 0, sizeof id);
    id[i] = 1;
    assert_false(guid_is_null(id));
  }
}

static void
test_generate(void **state)
{
  (void)state;
  uint8_t id[16], other[16];
  for (unsigned i = 0; i < 1000; i++) {
    guid_generate(id);
    guid_generate(other);
    assert_memory_not_equal(id, other, sizeof id);
    assert_int_equal(id[7] >> 4, 4);
    assert_int_equal(id[8] >> 6, 2);
    char text[GUID_TEXT_SIZE];
    assert_true(guid_text(id, text));
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_text),
    cmocka_unit_test(test_null),
    cmocka_unit_test(test_generate),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
