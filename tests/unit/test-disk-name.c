/* SPDX-License-Identifier: BSD-2-Clause */
/* test-disk-name: what a client may ask for where disks are served, and that
 * nothing else becomes part of a path. */
#include "config.h"

#include "unit/unit.h"

#include <errno.h>

#include "provision/disk_name.h"

#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16
#define A128 A64 A64

static const struct row {
  const char *name;
  int kind; /* -1: it is none */
  const char *disk, *rest;
} rows[] = {
  { "debian12", DISK_NAME_OWN, "debian12", "" },
  { "D", DISK_NAME_OWN, "D", "" },
  { "7", DISK_NAME_OWN, "7", "" },
  { "win-11_pro.x64", DISK_NAME_OWN, "win-11_pro.x64", "" },
  { A64, DISK_NAME_OWN, A64, "" },
  { "d/52-54-00-12-34-56", DISK_NAME_CLIENT, "d", "52-54-00-12-34-56" },
  { "d/52:54:00:12:34:56", DISK_NAME_CLIENT, "d", "52:54:00:12:34:56" },
  { "d/PC_1.lab", DISK_NAME_CLIENT, "d", "PC_1.lab" },
  { "d/" A128, DISK_NAME_CLIENT, "d", A128 },
  { "d@1", DISK_NAME_VERSION, "d", "1" },
  { "d@999999999", DISK_NAME_VERSION, "d", "999999999" },
  { "d@production", DISK_NAME_VERSION, "d", "production" },
  { "d@test", DISK_NAME_VERSION, "d", "test" },
  { "d@maintenance", DISK_NAME_VERSION, "d", "maintenance" },

  { "", -1, NULL, NULL },
  { "/", -1, NULL, NULL },
  { "@", -1, NULL, NULL },
  { ".", -1, NULL, NULL },
  { "..", -1, NULL, NULL },
  { "../d", -1, NULL, NULL },
  { "d/..", -1, NULL, NULL },
  { "d/../e", -1, NULL, NULL },
  { "d/.", -1, NULL, NULL },
  { "d/.hidden", -1, NULL, NULL },
  { ".hidden", -1, NULL, NULL },
  { "-rf", -1, NULL, NULL },
  { "_d", -1, NULL, NULL },
  { "/etc/passwd", -1, NULL, NULL },
  { "d/", -1, NULL, NULL },
  { "d//", -1, NULL, NULL },
  { "d//a", -1, NULL, NULL },
  { "d/a/", -1, NULL, NULL },
  { "d/a/b", -1, NULL, NULL },
  { "d\\a", -1, NULL, NULL },
  { "d/a\\b", -1, NULL, NULL },
  { "d a", -1, NULL, NULL },
  { "d ", -1, NULL, NULL },
  { " d", -1, NULL, NULL },
  { "d\n", -1, NULL, NULL },
  { "d\t", -1, NULL, NULL },
  { "d/a\n", -1, NULL, NULL },
  { "d%2e", -1, NULL, NULL },
  { "d/%2e%2e", -1, NULL, NULL },
  { "d/a%00", -1, NULL, NULL },
  { "d/a*", -1, NULL, NULL },
  { "d/cn+a", -1, NULL, NULL },
  { "d/psk+a", -1, NULL, NULL },
  { "d/$HOME", -1, NULL, NULL },
  { "d/\xc3\xa4", -1, NULL, NULL },
  { "\xc3\xa4", -1, NULL, NULL },
  { "d\xff", -1, NULL, NULL },
  { "\xef\xbc\x8e\xef\xbc\x8e", -1, NULL, NULL }, /* wide dots */
  { "d\xc0\xaf" "a", -1, NULL, NULL },            /* an overlong slash */
  { "d@", -1, NULL, NULL },
  { "d@0", -1, NULL, NULL },
  { "d@01", -1, NULL, NULL },
  { "d@+1", -1, NULL, NULL },
  { "d@-1", -1, NULL, NULL },
  { "d@1 ", -1, NULL, NULL },
  { "d@1.vhd", -1, NULL, NULL },
  { "d@1000000000", -1, NULL, NULL },
  { "d@99999999999999999999", -1, NULL, NULL },
  { "d@../1", -1, NULL, NULL },
  { "d@Production", -1, NULL, NULL },
  { "d@productio", -1, NULL, NULL },
  { "d@productions", -1, NULL, NULL },
  { "d@previous", -1, NULL, NULL },
  { "d@1@2", -1, NULL, NULL },
  { "d@1/a", -1, NULL, NULL },
  { "d/a@1", -1, NULL, NULL },
  { "@1", -1, NULL, NULL },
  { A64 "a", -1, NULL, NULL },
  { "d/" A128 "a", -1, NULL, NULL },
  { A128 A128 A128 A128 "/" A128 A128, -1, NULL, NULL },
};

static void
test_rows(void **state)
{
  (void)state;
  for (const struct row *r = rows; r < rows + ARRAY_SIZE(rows); r++) {
    struct disk_name name;
    ROW_INT(r->name, disk_name_parse(r->name, &name),
            r->kind < 0 ? -EINVAL : 0);
    if (r->kind < 0)
      continue;
    ROW_INT(r->name, name.kind, r->kind);
    ROW_STRING(r->name, name.disk, r->disk);
    ROW_STRING(r->name, name.client,
               r->kind == DISK_NAME_CLIENT ? r->rest : "");
    ROW_STRING(r->name, name.version,
               r->kind == DISK_NAME_VERSION ? r->rest : "");
  }
}

/* Nothing that is taken has a byte in it that a path or a shell would see
 * something in. */
static void
test_hostile(void **state)
{
  static const char letters[] = "aZ09._-:@/\\%+~ \n\x01\x7f\xc3\xa4*";
  unsigned taken = 0;

  (void)state;
  for (unsigned i = 0; i < 500000; i++) {
    char text[16];
    struct disk_name name;
    const size_t len = unit_random() % (sizeof text - 1);
    for (size_t k = 0; k < len; k++)
      text[k] = letters[unit_random() % (sizeof letters - 1)];
    text[len] = '\0';
    if (disk_name_parse(text, &name) < 0)
      continue;
    taken++;
    const char *parts[] = { name.disk, name.client, name.version };
    for (size_t k = 0; k < ARRAY_SIZE(parts); k++) {
      ROW_TRUE(text, !strpbrk(parts[k], "@/\\%+~ \n\x01\x7f\xc3\xa4*"));
      ROW_TRUE(text, !strchr("._-:", parts[k][0]) || !parts[k][0]);
    }
  }
  assert_true(taken > 1000);
}

static void
test_numbers(void **state)
{
  (void)state;
  assert_int_equal(disk_name_number("1"), 1);
  assert_int_equal(disk_name_number("999999999"), DISK_VERSION_MAX);
  assert_int_equal(disk_name_number("4294967297"), 0);
  assert_int_equal(disk_name_number("1x"), 0);
  assert_int_equal(disk_name_number(""), 0);
  assert_int_equal(disk_name_number("test"), 0);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_rows),
    cmocka_unit_test(test_hostile),
    cmocka_unit_test(test_numbers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
