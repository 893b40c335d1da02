/* SPDX-License-Identifier: BSD-2-Clause */
/* test-client-id: who a client is, as the name of a file: no two meet. */
#include "config.h"

#include "unit/unit.h"

#include <ctype.h>
#include <errno.h>

#include "base/sha256.h"
#include "provision/client_id.h"

#define CN CLIENT_BY_CERTIFICATE
#define PSK CLIENT_BY_PSK
#define NAME CLIENT_BY_NAME
#define IP CLIENT_BY_ADDRESS

#define CA "CN=CA"
#define A16 "AAAAAAAAAAAAAAAA"
#define A64 A16 A16 A16 A16

static const struct row {
  enum client_id_kind kind;
  const char *identity, *issuer, *file; /* NULL: it is none */
} rows[] = {
  { NAME, "52-54-00-12-34-56", NULL, "52-54-00-12-34-56" },
  { NAME, "52:54:00:12:34:56", NULL, "52%3a54%3a00%3a12%3a34%3a56" },
  { NAME, "lab-1.example", NULL, "lab-1.example" },
  { NAME, "PC-01", NULL, "_p_c-01" },
  { NAME, "a_b", NULL, "a__b" },
  { NAME, "_p", NULL, "__p" },
  { NAME, "__", NULL, "____" },
  { NAME, ".", NULL, "%2e" },
  { NAME, "..", NULL, "%2e." },
  { NAME, "../x", NULL, "%2e.%2fx" },
  { NAME, "-rf", NULL, "%2drf" },
  { NAME, "a/b", NULL, "a%2fb" },
  { NAME, "a%2fb", NULL, "a%252fb" },
  { NAME, "%", NULL, "%25" },
  { NAME, "a b\n", NULL, "a%20b%0a" },
  { NAME, "cn+x", NULL, "cn%2bx" },
  { NAME, "long+0", NULL, "long%2b0" },
  { NAME, "\xc3\xa4", NULL, "%c3%a4" },
  { NAME, "a\xcc\x88", NULL, "a%cc%88" },
  { NAME, "\xff\x01\x7f", NULL, "%ff%01%7f" },
  { NAME, "x.vhd", NULL, "x.vhd" },
  { PSK, "room7", NULL, "psk+room7" },
  { PSK, "192.0.2.7", NULL, "psk+192.0.2.7" },
  { IP, "192.0.2.7", NULL, "ip+192.0.2.7" },
  { IP, "::ffff:192.0.2.7", NULL, "ip+192.0.2.7" },
  { IP, "2001:DB8:0::7", NULL, "ip+2001%3adb8%3a%3a7" },
  { IP, "fe80::1%eth0", NULL, "ip+fe80%3a%3a1%25eth0" },

  { NAME, "", NULL, NULL },
  { NAME, NULL, NULL, NULL },
  { PSK, "", NULL, NULL },
  { NAME, "a", CA, NULL },
  { PSK, "a", CA, NULL },
  { CN, "a", NULL, NULL },
  { CN, "a", "", NULL },
  { CN, "", CA, NULL },
  { IP, "192.0.2.256", NULL, NULL },
  { IP, "192.0.2.7/24", NULL, NULL },
  { IP, "192.0.2.7%eth0", NULL, NULL },
  { IP, "fe80::1%", NULL, NULL },
  { IP, "localhost", NULL, NULL },
  { IP, "fe80::1%" A64 A64, NULL, NULL },
};

static void
test_rows(void **state)
{
  (void)state;
  for (const struct row *r = rows; r < rows + ARRAY_SIZE(rows); r++) {
    char file[CLIENT_FILE_MAX + 1];
    const char *name = r->identity ? r->identity : "NULL";
    ROW_INT(name,
            client_id_file(r->kind, r->identity, r->issuer, file, sizeof file),
            r->file ? 0 : -EINVAL);
    if (r->file)
      ROW_STRING(name, file, r->file);
  }
}

/* A certificate is its issuer's. */
static void
test_issuer(void **state)
{
  char one[CLIENT_FILE_MAX + 1], other[CLIENT_FILE_MAX + 1];

  (void)state;
  assert_int_equal(client_id_file(CN, "lab-1", CA, one, sizeof one), 0);
  assert_int_equal(client_id_file(CN, "lab-1", "CN=Evil", other, sizeof other),
                   0);
  assert_string_not_equal(one, other);
  assert_int_equal(strncmp(one, "cn+lab-1+", 9), 0);
  assert_int_equal(strlen(one), 9 + 32);
  /* What a part of one hides is no part of the other. */
  assert_int_equal(client_id_file(CN, "a+b", "c", one, sizeof one), 0);
  assert_int_equal(client_id_file(CN, "a", "b+c", other, sizeof other), 0);
  assert_string_not_equal(one, other);
}

/* However long, it fits; and what is longer is still told apart. */
static void
test_long(void **state)
{
  char one[CLIENT_FILE_MAX + 1], other[CLIENT_FILE_MAX + 1], tight[10];
  char issuer[5000], text[300];
  enum client_id_kind kind;

  (void)state;
  memset(issuer, 'x', sizeof issuer);
  issuer[sizeof issuer - 1] = '\0';
  assert_int_equal(client_id_file(CN, A64 A64, issuer, one, sizeof one), 0);
  assert_int_equal(strncmp(one, "long+", 5), 0);
  assert_int_equal(strlen(one), 5 + 64);
  assert_true(client_id_is_file(one));
  assert_int_equal(client_id_of_file(one, &kind, text, sizeof text), -ENOENT);
  issuer[1] = 'y';
  assert_int_equal(client_id_file(CN, A64 A64, issuer, other, sizeof other),
                   0);
  assert_string_not_equal(one, other);
  assert_int_equal(client_id_file(PSK, A64 "a", NULL, one, sizeof one), 0);
  assert_int_equal(client_id_file(NAME, A64 "a", NULL, other, sizeof other),
                   0);
  assert_string_not_equal(one, other);
  assert_int_equal(client_id_file(NAME, A64, NULL, one, sizeof one), 0);
  assert_int_equal(strlen(one), CLIENT_FILE_MAX);
  assert_int_equal(client_id_file(NAME, "0123456789", NULL, tight,
                                  sizeof tight),
                   -ENAMETOOLONG);
}

/* What it writes is a name like any other, also where capitals are not told
 * from small letters; and it leads back to what it came from, so that two never
 * have the same. */
static void
test_one_to_one(void **state)
{
  static const enum client_id_kind kinds[] = { CN, PSK, NAME };
  static const char letters[] = "aAzZ09._-+%/\\: \n\xc3\xa4\xff" "2eE";

  (void)state;
  for (unsigned i = 0; i < 300000; i++) {
    char text[12], back[CLIENT_FILE_MAX + 1], file[CLIENT_FILE_MAX + 1];
    const size_t len = 1 + unit_random() % (sizeof text - 1);
    enum client_id_kind kind = kinds[unit_random() % ARRAY_SIZE(kinds)], its;
    for (size_t k = 0; k < len; k++)
      text[k] = unit_random() % 4
                  ? letters[unit_random() % (sizeof letters - 1)]
                  : (char)(1 + unit_random() % 255);
    text[len] = '\0';
    ROW_INT(text,
            client_id_file(kind, text, kind == CN ? CA : NULL, file,
                           sizeof file),
            0);
    for (const char *s = file; *s; s++)
      ROW_TRUE(file, !isupper((unsigned char)*s) &&
                       (isalnum((unsigned char)*s) || strchr("._-%+", *s)));
    ROW_TRUE(file, file[0] != '.' && file[0] != '-');
    ROW_TRUE(file, client_id_is_file(file));
    ROW_INT(file, client_id_of_file(file, &its, back, sizeof back), 0);
    ROW_INT(file, its, kind);
    ROW_STRING(file, back, text);
  }
}

static const char *const nobodys[] = {
  "",        ".",      "..",      "%2e%2e",  "%2E.",   "a/b",     "A",
  "a%2Fb",   "a%61",   "%61",     "a%",      "a%2",    "a%2x",    "a%00",
  "_",       "a_",     "_1",      "_A",      "-a",     ".a",      "a+b",
  "cn+a",    "cn+",    "cn+a+",   "cn+a+00", "psk+",   "psk+a+b", "ip+",
  "ip+a",    "ip+2001%3adb8%3a0%3a%3a1",     "ip+%3a%3affff%3a1.2.3.4",
  "long+",   "long+0", "long+" A64,          "a b",    "a\n",     "\xc3\xa4",
  A64 A64 A16,
};

static void
test_nobodys(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_SIZE(nobodys); i++)
    ROW_TRUE(nobodys[i], !client_id_is_file(nobodys[i]));
}

/* Whatever it takes for a file is the file of him whom it says. */
static void
test_hostile(void **state)
{
  static const char letters[] = "a0._-+%/2eEfF\x01\xffpskcnilogn";

  (void)state;
  for (unsigned i = 0; i < 500000; i++) {
    char file[12], text[CLIENT_FILE_MAX + 1], again[CLIENT_FILE_MAX + 1];
    enum client_id_kind kind;
    const size_t len = unit_random() % (sizeof file - 1);
    for (size_t k = 0; k < len; k++)
      file[k] = letters[unit_random() % (sizeof letters - 1)];
    file[len] = '\0';
    if (client_id_of_file(file, &kind, text, sizeof text) < 0)
      continue;
    ROW_INT(file, client_id_file(kind, text, NULL, again, sizeof again), 0);
    ROW_STRING(file, again, file);
  }
}

/* FIPS 180-4's examples, and that it does not matter how it is cut. */
static void
test_hash(void **state)
{
  static const struct {
    const char *text;
    unsigned char begins[4];
  } known[] = {
    { "", { 0xe3, 0xb0, 0xc4, 0x42 } },
    { "abc", { 0xba, 0x78, 0x16, 0xbf } },
    { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      { 0x24, 0x8d, 0x6a, 0x61 } },
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
    for (size_t cut = 0; cut <= strlen(known[i].text); cut++) {
      unsigned char digest[SHA256_SIZE];
      struct sha256 hash;
      sha256_init(&hash);
      sha256_add(&hash, known[i].text, cut);
      sha256_add(&hash, known[i].text + cut, strlen(known[i].text) - cut);
      sha256_end(&hash, digest);
      assert_memory_equal(digest, known[i].begins, 4);
    }
  }
  unsigned char digest[SHA256_SIZE];
  struct sha256 hash;
  sha256_init(&hash);
  for (unsigned i = 0; i < 1000000; i++)
    sha256_add(&hash, "a", 1);
  sha256_end(&hash, digest);
  assert_memory_equal(digest, "\xcd\xc7\x6e\x5c", 4);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_rows),       cmocka_unit_test(test_issuer),
    cmocka_unit_test(test_long),       cmocka_unit_test(test_one_to_one),
    cmocka_unit_test(test_nobodys),    cmocka_unit_test(test_hostile),
    cmocka_unit_test(test_hash),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
