/* SPDX-License-Identifier: BSD-2-Clause */
/* test-utf: UTF-16 and UTF-8, well-formed and not. */
#include "config.h"

#include <errno.h>

#include "base/utf.h"
#include "unit/unit.h"

#define FFFD "\xef\xbf\xbd"

static void
test_decode(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    size_t len;
    uint8_t in[16]; /* big-endian */
    const char *out;
  } rows[] = {
    { "empty", 0, { 0 }, "" },
    { "ASCII", 4, { 0, 'a', 0, 'b' }, "ab" },
    { "two bytes", 2, { 0x00, 0xe4 }, "\xc3\xa4" },
    { "three bytes", 2, { 0x20, 0xac }, "\xe2\x82\xac" },
    { "pair", 4, { 0xd8, 0x3d, 0xde, 0x00 }, "\xf0\x9f\x98\x80" },
    { "highest", 4, { 0xdb, 0xff, 0xdf, 0xff }, "\xf4\x8f\xbf\xbf" },
    { "NUL ends", 6, { 0, 'a', 0, 0, 0, 'b' }, "a" },
    { "odd byte left out", 3, { 0, 'a', 0 }, "a" },
    { "lone high", 4, { 0xd8, 0x00, 0, 'a' }, FFFD "a" },
    { "lone high at the end", 4, { 0, 'a', 0xd8, 0x00 }, "a" FFFD },
    { "half of a low at the end", 3, { 0xd8, 0x00, 0xdc }, FFFD },
    { "lone low", 4, { 0xdc, 0x00, 0, 'a' }, FFFD "a" },
    { "two highs and a low",
      6,
      { 0xd8, 0x00, 0xd8, 0x3d, 0xde, 0x00 },
      FFFD "\xf0\x9f\x98\x80" },
    { "byte order mark is a character", 4, { 0xfe, 0xff, 0, 'a' },
      "\xef\xbb\xbf" "a" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    char out[32];
    size_t n =
      utf16_decode(rows[i].in, rows[i].len, true, out, sizeof out);
    ROW_STRING(rows[i].name, out, rows[i].out);
    ROW_INT(rows[i].name, n, strlen(rows[i].out));

    uint8_t swapped[16];
    for (size_t b = 0; b < sizeof swapped; b++)
      swapped[b] = rows[i].in[b ^ 1];
    if (rows[i].len % 2 == 0) {
      utf16_decode(swapped, rows[i].len, false, out, sizeof out);
      ROW_STRING(rows[i].name, out, rows[i].out);
    }
  }
}

static void
test_decode_small(void **state)
{
  (void)state;
  /* A character that does not fit is left out whole. */
  static const uint8_t in[] = { 0, 'a', 0x20, 0xac, 0, 'b' };
  for (size_t size = 1; size <= 6; size++) {
    char *out = malloc(size);
    assert_non_null(out);
    size_t n = utf16_decode(in, sizeof in, true, out, size);
    assert_string_equal(out, size == 1  ? ""
                             : size < 5 ? "a"
                             : size < 6 ? "a\xe2\x82\xac"
                                        : "a\xe2\x82\xac" "b");
    assert_int_equal(n, strlen(out));
    free(out);
  }
}

static void
test_encode(void **state)
{
  (void)state;
  static const struct {
    const char *in;
    long n;
    uint8_t out[8]; /* big-endian */
  } rows[] = {
    { "", 0, { 0 } },
    { "a", 2, { 0, 'a' } },
    { "\xc3\xa4", 2, { 0, 0xe4 } },
    { "\xe2\x82\xac", 2, { 0x20, 0xac } },
    { "\xf0\x9f\x98\x80", 4, { 0xd8, 0x3d, 0xde, 0x00 } },
    { "\xf4\x8f\xbf\xbf", 4, { 0xdb, 0xff, 0xdf, 0xff } },
    { "\xc3", -EILSEQ, { 0 } },
    { "\xed\xa0\x80", -EILSEQ, { 0 } },
    { "abcd", 8, { 0, 'a', 0, 'b', 0, 'c', 0, 'd' } },
    { "abcde", -ENAMETOOLONG, { 0 } },
    { "abc\xf0\x9f\x98\x80", -ENAMETOOLONG, { 0 } },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    uint8_t out[8];
    ROW_INT(rows[i].in, utf16_encode(rows[i].in, true, out, sizeof out),
            rows[i].n);
    for (long b = 0; b < rows[i].n; b++)
      ROW_INT(rows[i].in, out[b], rows[i].out[b]);
    ROW_INT(rows[i].in, utf16_encode(rows[i].in, false, out, sizeof out),
            rows[i].n);
    for (long b = 0; b < rows[i].n; b++)
      ROW_INT(rows[i].in, out[b ^ 1], rows[i].out[b]);
  }
}

static void
test_every_character(void **state)
{
  (void)state;
  for (uint32_t c = 1; c < 0x110000; c++) {
    if (c >= 0xd800 && c <= 0xdfff)
      continue;
    uint8_t in[4], back[4];
    size_t len = c < 0x10000 ? 2 : 4;
    if (len == 2) {
      unit_put(in, 0, 2, c);
    } else {
      unit_put(in, 0, 2, 0xd800 + ((c - 0x10000) >> 10));
      unit_put(in, 2, 2, 0xdc00 + ((c - 0x10000) & 0x3ff));
    }
    char text[8];
    size_t n = utf16_decode(in, len, true, text, sizeof text);
    assert_true(utf8_valid(text, n));
    assert_int_equal(utf16_encode(text, true, back, sizeof back), len);
    assert_memory_equal(in, back, len);
    assert_int_equal(utf8_has_control(text, n),
                     c < 0x20 || (c >= 0x7f && c < 0xa0));
  }
}

static void
test_valid(void **state)
{
  (void)state;
  static const struct {
    const char *s;
    bool valid;
    const char *printable;
  } rows[] = {
    { "", true, "" },
    { "abc", true, "abc" },
    { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", true,
      "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
    { "\x80", false, "?" },
    { "\xff", false, "?" },
    { "\xf8\x88\x80\x80\x80", false, "?????" },
    { "\xc0\x80", false, "??" },
    { "\xc1\xbf", false, "??" },
    { "\xe0\x9f\xbf", false, "???" },
    { "\xf0\x8f\xbf\xbf", false, "????" },
    { "\xf4\x90\x80\x80", false, "????" },
    { "\xed\xa0\x80", false, "???" },
    { "\xed\xbf\xbf", false, "???" },
    { "a\xe2\x82", false, "a??" },
    { "\xc3(", false, "?(" },
    /* Well-formed, but not for a terminal. */
    { "a\tb\nc\x1b[31m\x7f", true, "a?b?c?[31m?" },
    { "\xc2\x9b" "31m", true, "?31m" },
    { "\xc2\xa0", true, "\xc2\xa0" },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    ROW_INT(rows[i].printable, utf8_valid(rows[i].s, strlen(rows[i].s)),
            rows[i].valid);
    char *copy = strdup(rows[i].s);
    assert_non_null(copy);
    utf8_make_printable(copy);
    ROW_STRING(rows[i].printable, copy, rows[i].printable);
    free(copy);
  }
  /* The length counts, not the NUL. */
  assert_false(utf8_valid("\xe2\x82\xac", 2));
  assert_true(utf8_valid("a\0b", 3));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_decode),
    cmocka_unit_test(test_decode_small),
    cmocka_unit_test(test_encode),
    cmocka_unit_test(test_every_character),
    cmocka_unit_test(test_valid),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
