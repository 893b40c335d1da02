/* SPDX-License-Identifier: BSD-2-Clause */
/* test-locator: parent locators and the paths in them. */
#include "config.h"

#include <errno.h>

#include "format/locator.h"
#include "unit/unit.h"

static void
test_parse(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    uint32_t raw_space, raw_len;
    uint64_t off;
    uint32_t space;
    bool sectors;
    int result;
  } rows[] = {
    { "one sector", 1, 28, 4096, 512, true, 0 },
    { "511 sectors", 511, 28, 4096, 511 * 512, true, 0 },
    { "512 bytes", 512, 28, 4096, 512, false, 0 },
    { "64 KiB", 65536, 28, 4096, 65536, false, 0 },
    { "no space said", 0, 28, 4096, 0, false, 0 },
    { "neither sectors nor bytes", 513, 28, 4096, 513, false, -EINVAL },
    { "hostile space", 0x7ffffe00, 28, 4096, 0x7ffffe00, false, 0 },
    { "space not whole", UINT32_MAX, 28, 4096, UINT32_MAX, false, -EINVAL },
    { "as long as its space", 1, 512, 4096, 512, true, 0 },
    { "longer than its space", 1, 513, 4096, 512, true, -EINVAL },
    { "as long as may be", 8192, 4096, 4096, 8192, false, 0 },
    { "too long", 8192, 4097, 4096, 8192, false, -EINVAL },
    { "hostile length", 0, UINT32_MAX, 4096, 0, false, -EINVAL },
    { "no length", 512, 0, 4096, 512, false, 0 },
    { "far away", 512, 28, 1ULL << 40, 512, false, 0 },
    { "beyond any file", 512, 28, 1ULL << 63, 512, false, -EINVAL },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    uint8_t buf[LOCATOR_SIZE] = { 0 }, back[LOCATOR_SIZE];
    unit_put(buf, 0, 4, LOCATOR_W2RU);
    unit_put(buf, 4, 4, rows[i].raw_space);
    unit_put(buf, 8, 4, rows[i].raw_len);
    unit_put(buf, 16, 8, rows[i].off);

    struct locator l;
    const char *why = "";
    locator_parse(buf, &l);
    ROW_INT(rows[i].name, l.code, LOCATOR_W2RU);
    ROW_INT(rows[i].name, l.space, rows[i].space);
    ROW_INT(rows[i].name, l.sectors, rows[i].sectors);
    ROW_INT(rows[i].name, l.len, rows[i].raw_len);
    ROW_TRUE(rows[i].name, l.off == rows[i].off);
    ROW_INT(rows[i].name, locator_check(&l, &why), rows[i].result);
    ROW_INT(rows[i].name, why != NULL, rows[i].result < 0);
    locator_format(&l, back);
    ROW_TRUE(rows[i].name, memcmp(buf, back, sizeof buf) == 0);

    /* What an unused slot holds is nobody's business. */
    unit_put(buf, 0, 4, LOCATOR_NONE);
    locator_parse(buf, &l);
    ROW_INT(rows[i].name, locator_check(&l, &why), 0);
  }
}

/* UTF-16LE of ASCII, as a string literal without its end. */
#define U8(s) (const uint8_t *)(s), sizeof(s) - 1

static const struct {
  const char *name;
  uint32_t code;
  const uint8_t *data;
  size_t len;
  int result;
  const char *path;
  bool relative;
} path_rows[] = {
  { "Windows relative", LOCATOR_W2RU, U8(".\0\\\0a\0"), 0, "./a", true },
  { "NUL included", LOCATOR_W2RU, U8("a\0\0\0"), 0, "a", true },
  { "filled up", LOCATOR_W2RU, U8("a\0\0\0\0\0\0\0"), 0, "a", true },
  { "odd zero", LOCATOR_W2RU, U8("a\0\0"), 0, "a", true },
  { "odd byte", LOCATOR_W2RU, U8("a\0b"), -EINVAL, NULL, false },
  { "embedded NUL", LOCATOR_W2RU, U8("a\0\0\0b\0"), -EINVAL, NULL, false },
  { "newline", LOCATOR_W2RU, U8("a\0\n\0"), -EINVAL, NULL, false },
  { "escape", LOCATOR_W2RU, U8("\x1b\0[\0"), -EINVAL, NULL, false },
  { "C1 control", LOCATOR_W2RU, U8("\x9b\0[\0"), -EINVAL, NULL, false },
  { "empty", LOCATOR_W2RU, U8(""), -ENOENT, NULL, false },
  { "only NULs", LOCATOR_W2RU, U8("\0\0\0\0"), -ENOENT, NULL, false },
  { "lone surrogate", LOCATOR_W2RU, U8("a\0\x00\xd8"), 0,
    "a\xef\xbf\xbd", true },
  { "letter outside ASCII", LOCATOR_W2RU, U8("\xe4\0"), 0, "\xc3\xa4",
    true },
  { "upwards stays for the caller to judge", LOCATOR_W2RU,
    U8(".\0.\0\\\0.\0.\0\\\0e\0"), 0, "../../e", true },
  { "absolute in the relative one", LOCATOR_W2RU, U8("\\\0a\0"), 0, "/a",
    false },
  { "drive", LOCATOR_W2KU, U8("C\0:\0\\\0d\0\\\0a\0"), 0, "/d/a", false },
  { "drive alone", LOCATOR_W2KU, U8("C\0:\0"), -ENOENT, NULL, false },
  { "relative to a drive", LOCATOR_W2KU, U8("C\0:\0a\0"), 0, "a", true },
  { "libvhd's relative absolute", LOCATOR_W2KU, U8(".\0\\\0a\0"), 0, "./a",
    true },
  { "long path", LOCATOR_W2KU, U8("\\\0\\\0?\0\\\0C\0:\0\\\0a\0"), 0, "/a",
    false },
  { "volume", LOCATOR_W2KU, U8("\\\0\\\0?\0\\\0V\0{\0}\0\\\0a\0"), 0,
    "/V{}/a", false },
  { "share", LOCATOR_W2KU, U8("\\\0\\\0s\0\\\0a\0"), 0, "//s/a", false },
  { "ANSI", LOCATOR_WI2R, U8(".\\a b"), 0, "./a b", true },
  { "ANSI, absolute", LOCATOR_WI2K, U8("d:\\x\\a\0\0"), 0, "/x/a", false },
  { "ANSI that is Latin-1", LOCATOR_WI2R, U8("\xe4.vhd"), 0,
    "\xc3\xa4.vhd", true },
  { "ANSI that is UTF-8", LOCATOR_WI2R, U8("\xc3\xa4.vhd"), 0,
    "\xc3\xa4.vhd", true },
  { "ANSI, embedded NUL", LOCATOR_WI2R, U8("a\0b"), -EINVAL, NULL, false },
  { "ANSI, C1 as Latin-1", LOCATOR_WI2R, U8("a\x9b"), -EINVAL, NULL,
    false },
  { "URL", LOCATOR_MACX, U8("file://localhost/d/a"), 0, "/d/a", false },
  { "URL without host", LOCATOR_MACX, U8("file:///d/a"), 0, "/d/a", false },
  { "URL, letters", LOCATOR_MACX, U8("FILE://x/a"), 0, "/a", false },
  { "URL of another host", LOCATOR_MACX, U8("file://host/a"), 0, "/a",
    false },
  { "URL without path", LOCATOR_MACX, U8("file://host"), -ENOENT, NULL,
    false },
  { "URL, empty", LOCATOR_MACX, U8("file://"), -ENOENT, NULL, false },
  { "libvhd's relative URL", LOCATOR_MACX, U8("file://./a"), 0, "./a",
    true },
  { "relative URL upwards", LOCATOR_MACX, U8("file://../a"), 0, "../a",
    true },
  { "no URL at all", LOCATOR_MACX, U8("b/a"), 0, "b/a", true },
  { "URL escapes", LOCATOR_MACX, U8("file:///a%20b%C3%A4"), 0,
    "/a b\xc3\xa4", false },
  { "URL, stray percent", LOCATOR_MACX, U8("file:///100%"), 0, "/100%",
    false },
  { "URL, no digits", LOCATOR_MACX, U8("file:///a%zz%2"), 0, "/a%zz%2",
    false },
  { "URL, escaped NUL", LOCATOR_MACX, U8("file:///a%00b"), -EINVAL, NULL,
    false },
  { "URL, escaped newline", LOCATOR_MACX, U8("file:///a%0ab"), -EINVAL,
    NULL, false },
  { "URL, not UTF-8", LOCATOR_MACX, U8("file:///a%ff"), -EINVAL, NULL,
    false },
  { "URL keeps backslashes", LOCATOR_MACX, U8("file:///a\\b"), 0, "/a\\b",
    false },
  { "alias", LOCATOR_MAC, U8("a"), -ENOENT, NULL, false },
  { "unknown", 0x12345678, U8("a"), -ENOENT, NULL, false },
  { "none", LOCATOR_NONE, U8("a"), -ENOENT, NULL, false },
};

static void
test_path(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_SIZE(path_rows); i++) {
    const char *name = path_rows[i].name;
    char path[LOCATOR_MAX_LEN * 2];
    bool relative = false;
    /* Not a byte more than there is, so that ASan sees a read beyond. */
    uint8_t *data = malloc(path_rows[i].len + (path_rows[i].len == 0));
    assert_non_null(data);
    memcpy(data, path_rows[i].data, path_rows[i].len);
    ROW_INT(name,
            locator_path(path_rows[i].code, data, path_rows[i].len, path,
                         sizeof path, &relative),
            path_rows[i].result);
    if (path_rows[i].result == 0) {
      ROW_STRING(name, path, path_rows[i].path);
      ROW_INT(name, relative, path_rows[i].relative);
    }
    free(data);
  }
}

static void
test_path_small(void **state)
{
  (void)state;
  /* Whatever the room, a path comes whole or not at all. */
  for (size_t i = 0; i < ARRAY_SIZE(path_rows); i++) {
    if (path_rows[i].result != 0)
      continue;
    for (size_t size = 1; size < 64; size++) {
      char *path = malloc(size);
      bool relative;
      assert_non_null(path);
      int r = locator_path(path_rows[i].code, path_rows[i].data,
                           path_rows[i].len, path, size, &relative);
      if (r == 0)
        ROW_STRING(path_rows[i].name, path, path_rows[i].path);
      else
        ROW_INT(path_rows[i].name, r, -ENAMETOOLONG);
      free(path);
    }
  }
}

static void
test_encode(void **state)
{
  (void)state;
  static const struct {
    const char *name;
    uint32_t code;
    const char *path;
    long n;
    const uint8_t *data;
    size_t len;
  } rows[] = {
    { "beside", LOCATOR_W2RU, "a", 6, U8(".\0\\\0a\0") },
    { "dotted", LOCATOR_W2RU, "./a", 6, U8(".\0\\\0a\0") },
    { "upwards", LOCATOR_W2RU, "../a", 8, U8(".\0.\0\\\0a\0") },
    { "hidden file", LOCATOR_W2RU, ".a", 8, U8(".\0\\\0.\0a\0") },
    { "absolute, not relative", LOCATOR_W2RU, "/a", -EINVAL, NULL, 0 },
    { "absolute", LOCATOR_W2KU, "/d/a", 8, U8("\\\0d\0\\\0a\0") },
    { "relative, not absolute", LOCATOR_W2KU, "a", -EINVAL, NULL, 0 },
    { "backslash", LOCATOR_W2RU, "a\\b", -EINVAL, NULL, 0 },
    { "not UTF-8", LOCATOR_W2RU, "a\xff", -EILSEQ, NULL, 0 },
    { "not UTF-8 in a URL", LOCATOR_MACX, "a\xff", -EILSEQ, NULL, 0 },
    { "empty", LOCATOR_W2RU, "", -EINVAL, NULL, 0 },
    { "URL", LOCATOR_MACX, "/d/a b%", 27,
      U8("file://localhost/d/a%20b%25") },
    { "relative URL", LOCATOR_MACX, "a", 10, U8("file://./a") },
    { "relative URL upwards", LOCATOR_MACX, "../a", 11,
      U8("file://../a") },
    { "deprecated", LOCATOR_WI2R, "a", -EINVAL, NULL, 0 },
  };
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    uint8_t data[64];
    long n = locator_encode(rows[i].code, rows[i].path, data, sizeof data);
    ROW_INT(rows[i].name, n, rows[i].n);
    if (n < 0)
      continue;
    ROW_INT(rows[i].name, n, rows[i].len);
    ROW_TRUE(rows[i].name, memcmp(data, rows[i].data, rows[i].len) == 0);
    for (size_t size = 0; size < (size_t)n; size++)
      ROW_INT(rows[i].name,
              locator_encode(rows[i].code, rows[i].path, data, size),
              -ENAMETOOLONG);

    /* And back; the leading "./" is the only liberty. */
    char path[256];
    bool relative;
    ROW_INT(rows[i].name,
            locator_path(rows[i].code, data, (size_t)n, path, sizeof path,
                         &relative),
            0);
    const char *p = strncmp(path, "./", 2) == 0 ? path + 2 : path;
    const char *q =
      strncmp(rows[i].path, "./", 2) == 0 ? rows[i].path + 2 : rows[i].path;
    ROW_STRING(rows[i].name, p, q);
    ROW_INT(rows[i].name, relative, rows[i].path[0] != '/');
  }
}

static void
test_encode_long(void **state)
{
  (void)state;
  char path[LOCATOR_MAX_LEN + 10];
  uint8_t data[LOCATOR_MAX_LEN * 4];
  memset(path, 'a', sizeof path - 1);
  path[sizeof path - 1] = '\0';
  assert_int_equal(locator_encode(LOCATOR_W2RU, path, data, sizeof data),
                   -ENAMETOOLONG);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_parse),       cmocka_unit_test(test_path),
    cmocka_unit_test(test_path_small),  cmocka_unit_test(test_encode),
    cmocka_unit_test(test_encode_long),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
