/* SPDX-License-Identifier: BSD-2-Clause */
/* test-parcel: what may change while it is served comes out of the parcel as it
 * went in, and nothing comes out of one that was cut off. */
#include "config.h"

#include "unit/unit.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/text.h"
#include "config/command_line.h"
#include "config/parcel.h"

static const char *const one[] = { "52-54-00-*", "cn:lab-*", "" };
static const char *const other[] = { "address:2001:db8::/32" };

static const struct provision_rule rules[] = {
  { .disk = "debian*",
    .who = one,
    .nwho = 3,
    .policy = PROVISION_KEEP,
    .version = "test",
    .quota = 1ULL << 40 },
  { .who = other, .nwho = 1, .policy = PROVISION_REFUSE },
  { .disk = "", .version = "7" },
};

static struct options_export exports[] = {
  { .name = (char *)"a", .path = "a.vhd", .description = "", .tls_only = true },
  { .path = "b.vhd", .raw = true },
};

static const struct options whole = {
  .exports = exports,
  .nexports = 2,
  .provision = { .disks = "stays",
                 .children = "behind",
                 .rules = rules,
                 .nrules = 3,
                 .unknown = PROVISION_UNKNOWN_THROWAWAY,
                 .linger_sec = 604800,
                 .quota = INT64_MAX,
                 .reserve = 4096 },
};

static void
same_rule(const struct provision_rule *a, const struct provision_rule *b)
{
  assert_true(text_same(a->disk, b->disk));
  assert_true(text_same(a->version, b->version));
  assert_int_equal(a->policy, b->policy);
  assert_true(a->quota == b->quota);
  assert_int_equal(a->nwho, b->nwho);
  for (size_t i = 0; i < a->nwho; i++)
    assert_string_equal(a->who[i], b->who[i]);
}

static void
test_whole(void **state)
{
  struct options out;

  (void)state;
  assert_int_equal(parcel_unpack(parcel_pack(&whole), &out), 0);
  const struct provision_config *a = &whole.provision, *b = &out.provision;
  assert_null(b->disks);
  assert_null(b->children);
  assert_int_equal(a->unknown, b->unknown);
  assert_int_equal(a->linger_sec, b->linger_sec);
  assert_true(a->quota == b->quota);
  assert_true(a->reserve == b->reserve);
  assert_int_equal(b->nrules, 3);
  for (size_t i = 0; i < 3; i++)
    same_rule(&a->rules[i], &b->rules[i]);
  assert_int_equal(out.nexports, 2);
  for (size_t i = 0; i < 2; i++) {
    const struct options_export *x = &exports[i], *y = &out.exports[i];
    assert_true(text_same(x->name, y->name));
    assert_true(text_same(x->path, y->path));
    assert_true(text_same(x->description, y->description));
    assert_true(x->tls_only == y->tls_only && x->raw == y->raw);
  }
  options_free(&out);
}

/* Whatever it holds, and wherever it ends. */
static void
test_hostile(void **state)
{
  char bytes[1024], copy[1024];
  const int fd = parcel_pack(&whole);
  const ssize_t n = pread(fd, bytes, sizeof bytes, 0);
  unsigned refused = 0;

  (void)state;
  close(fd);
  assert_true(n > 100 && n < (ssize_t)sizeof bytes);
  for (unsigned i = 0; i < 20000; i++) {
    struct options out;
    const int part = memfd_create("part", MFD_CLOEXEC);
    const ssize_t len = i < n ? (ssize_t)i : n;
    memcpy(copy, bytes, sizeof copy);
    if (i >= n)
      copy[unit_random() % (unsigned)n] = (char)unit_random();
    assert_int_equal(write(part, copy, (size_t)len), len);
    refused += parcel_unpack(part, &out) < 0;
    options_free(&out);
  }
  assert_true(refused > (unsigned)n / 2);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_whole),
    cmocka_unit_test(test_hostile),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
