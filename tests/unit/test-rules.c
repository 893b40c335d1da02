/* SPDX-License-Identifier: BSD-2-Clause */
/* test-rules: who gets what of a disk. */
#include "config.h"

#include "unit/unit.h"

#include <errno.h>

#include "provision/rules.h"

#define G (1ULL << 30)

static const char *const lab[] = { "cn:lab-*", "psk:room7" };
static const char *const macs[] = { "52-54-00-*" };
static const char *const super[] = { "cn:super", "name:super" };
static const char *const tester[] = { "tester" };
static const char *const evil[] = { "52-54-00-66-*" };
static const char *const net[] = { "address:192.0.2.0/25",
                                   "address:2001:db8::/33",
                                   "address:198.51.100.*" };

#define WHO(list) .who = (list), .nwho = ARRAY_SIZE(list)

static const struct provision_rule rules[] = {
  { .disk = "debian12", WHO(super), .version = "maintenance" },
  { .disk = "debian12", WHO(evil), .policy = PROVISION_REFUSE },
  { .disk = "debian12",
    WHO(tester),
    .policy = PROVISION_KEEP,
    .version = "test" },
  { .disk = "debian*", WHO(lab), .policy = PROVISION_KEEP, .quota = G },
  { .disk = "debian12", WHO(macs), .policy = PROVISION_DISCARD },
  { .disk = "kiosk", WHO(net), .policy = PROVISION_READONLY },
  { .disk = "own", WHO(net), .policy = PROVISION_PRIVATE, .version = "3" },
  { .disk = "open" },
};

/* How he comes. */
#define PLAIN(address_) \
  { \
    .address = (address_) \
  }
#define CN(name_) \
  { \
    .certificate = (name_), .issuer = "CN=CA", .address = "192.0.2.7" \
  }
#define PSK(name_) \
  { \
    .psk = (name_), .address = "192.0.2.7" \
  }

static const struct row {
  const char *title;
  struct provision_asker asker;
  const char *name;
  int unknown;
  int what;
  enum provision_policy policy;
  const char *client, *version;
} rows[] = {
  { "by a name that he says", PLAIN("203.0.113.9"), "debian12/52-54-00-01", 0,
    RULING_CHILD, PROVISION_DISCARD, "52-54-00-01", "production" },
  { "by a name that no rule has", PLAIN("203.0.113.9"), "debian12/52-55-00", 0,
    RULING_NOTHING, 0, "", "" },
  { "the first rule decides", PLAIN("203.0.113.9"), "debian12/52-54-00-66-1",
    0, RULING_NOTHING, 0, "", "" },
  { "one disk is not another", PLAIN("203.0.113.9"), "debian13/52-54-00-01", 0,
    RULING_NOTHING, 0, "", "" },
  { "by a pattern of disks", PSK("room7"), "debian13", 0, RULING_CHILD,
    PROVISION_KEEP, "psk+room7", "production" },
  { "disks have their case", PSK("room7"), "Debian12", 0, RULING_NOTHING, 0,
    "", "" },
  { "by a key, and he says the same", PSK("room7"), "debian12/room7", 0,
    RULING_CHILD, PROVISION_KEEP, "psk+room7", "production" },
  { "by a key, and he says another", PSK("room7"), "debian12/52-54-00-01", 0,
    RULING_NOTHING, 0, "", "" },
  { "the same, whatever an unknown one gets", PSK("room7"),
    "debian12/52-54-00-01", PROVISION_UNKNOWN_THROWAWAY, RULING_NOTHING, 0, "",
    "" },
  { "by a certificate, and says another's", CN("lab-1"), "debian12/lab-2", 0,
    RULING_NOTHING, 0, "", "" },
  { "the same in capitals", CN("lab-1"), "debian12/LAB-1", 0, RULING_NOTHING,
    0, "", "" },
  { "the name of a certificate, only said", PLAIN("192.0.2.7"),
    "debian12/lab-1", 0, RULING_NOTHING, 0, "", "" },
  { "the name of a key, only said", PLAIN("192.0.2.7"), "debian12/room7", 0,
    RULING_NOTHING, 0, "", "" },
  { "a key called as a certificate", PSK("lab-1"), "debian12", 0,
    RULING_NOTHING, 0, "", "" },
  { "a certificate called as a key", CN("room7"), "debian12", 0,
    RULING_NOTHING, 0, "", "" },
  { "a certificate called as a machine", CN("52-54-00-01"), "debian12", 0,
    RULING_NOTHING, 0, "", "" },
  { "a certificate without its issuer",
    { .certificate = "lab-1" },
    "debian12",
    0,
    RULING_NOTHING,
    0,
    "",
    "" },
  { "an address does not help who is somebody else", CN("stranger"), "kiosk",
    0, RULING_NOTHING, 0, "", "" },

  { "a tester", PLAIN("203.0.113.9"), "debian12/tester", 0, RULING_CHILD,
    PROVISION_KEEP, "tester", "test" },
  { "who maintains", CN("super"), "debian12", 0, RULING_MAINTENANCE, 0, "",
    "maintenance" },
  { "who maintains, by name", PLAIN("203.0.113.9"), "debian12/super", 0,
    RULING_MAINTENANCE, 0, "", "maintenance" },
  { "who maintains, and says so", CN("super"), "debian12@maintenance", 0,
    RULING_MAINTENANCE, 0, "", "maintenance" },
  { "who maintains may read each", CN("super"), "debian12@7", 0,
    RULING_VERSION, 0, "", "7" },
  { "another one may not maintain", CN("lab-1"), "debian12@maintenance", 0,
    RULING_NOTHING, 0, "", "" },
  { "nor read a version", CN("lab-1"), "debian12@1", 0, RULING_NOTHING, 0, "",
    "" },
  { "nor what is tested", CN("lab-1"), "debian12@test", 0, RULING_NOTHING, 0,
    "", "" },
  { "but what everybody gets", CN("lab-1"), "debian12@production", 0,
    RULING_VERSION, 0, "", "production" },
  { "whom no rule knows may not even that", CN("stranger"),
    "debian12@production", 0, RULING_NOTHING, 0, "", "" },

  { "by a network", PLAIN("192.0.2.7"), "kiosk", 0, RULING_VERSION, 0, "",
    "production" },
  { "outside of it", PLAIN("192.0.2.128"), "kiosk", 0, RULING_NOTHING, 0, "",
    "" },
  { "by a mapped address", PLAIN("::ffff:192.0.2.7"), "kiosk", 0,
    RULING_VERSION, 0, "", "production" },
  { "by a long network", PLAIN("2001:db8:7fff::1"), "kiosk", 0, RULING_VERSION,
    0, "", "production" },
  { "outside of that", PLAIN("2001:db8:8000::1"), "kiosk", 0, RULING_NOTHING,
    0, "", "" },
  { "by a pattern of addresses", PLAIN("198.51.100.200"), "kiosk", 0,
    RULING_VERSION, 0, "", "production" },
  { "an address that is said as a name", PLAIN("203.0.113.9"),
    "kiosk/192.0.2.7", 0, RULING_NOTHING, 0, "", "" },
  { "private, by an address", PLAIN("192.0.2.7"), "own", 0, RULING_CHILD,
    PROVISION_PRIVATE, "ip+192.0.2.7", "3" },
  { "and the version of his rule", PLAIN("192.0.2.7"), "own@3", 0,
    RULING_VERSION, 0, "", "3" },

  { "a rule for whoever has an identity", PLAIN("203.0.113.9"), "open", 0,
    RULING_CHILD, PROVISION_DISCARD, "ip+203.0.113.9", "production" },
  { "and for nobody else", PLAIN(NULL), "open", 0, RULING_NOTHING, 0, "", "" },

  { "unknown: read-only", PLAIN(NULL), "debian12", PROVISION_UNKNOWN_READONLY,
    RULING_VERSION, 0, "", "production" },
  { "unknown: read-only, and no more", PLAIN(NULL), "debian12@1",
    PROVISION_UNKNOWN_READONLY, RULING_NOTHING, 0, "", "" },
  { "unknown: throw-away", PLAIN("203.0.113.9"), "debian12",
    PROVISION_UNKNOWN_THROWAWAY, RULING_CHILD, PROVISION_THROWAWAY,
    "ip+203.0.113.9", "production" },
  { "unknown: throw-away, by name", PLAIN(NULL), "debian12/52-55-00",
    PROVISION_UNKNOWN_THROWAWAY, RULING_CHILD, PROVISION_THROWAWAY, "52-55-00",
    "production" },
  { "unknown, and nobody at all", PLAIN(NULL), "debian12",
    PROVISION_UNKNOWN_THROWAWAY, RULING_NOTHING, 0, "", "" },
  { "refused by a rule is not unknown", PLAIN(NULL), "debian12/52-54-00-66-1",
    PROVISION_UNKNOWN_READONLY, RULING_NOTHING, 0, "", "" },
};

static void
test_rows(void **state)
{
  (void)state;
  for (const struct row *r = rows; r < rows + ARRAY_SIZE(rows); r++) {
    const struct provision_config config = {
      .rules = rules,
      .nrules = ARRAY_SIZE(rules),
      .unknown = r->unknown,
      .quota = 7 * G,
    };
    struct disk_name name;
    struct ruling ruling;
    ROW_INT(r->title, disk_name_parse(r->name, &name), 0);
    ROW_INT(r->title, rules_decide(&config, &r->asker, &name, &ruling),
            r->what == RULING_NOTHING ? -EACCES : 0);
    ROW_INT(r->title, ruling.what, r->what);
    ROW_TRUE(r->title, (ruling.why != NULL) == (r->what == RULING_NOTHING));
    ROW_STRING(r->title, ruling.disk, name.disk);
    ROW_STRING(r->title, ruling.client, r->client);
    ROW_STRING(r->title, ruling.version, r->version);
    if (r->what != RULING_CHILD)
      continue;
    ROW_INT(r->title, ruling.policy, r->policy);
    ROW_INT(r->title, ruling.quota,
            strcmp(r->client, "psk+room7") == 0 ? G : 7 * G);
  }
}

/* No client gets a file of somebody who is vouched for by spelling a name. */
static void
test_spelling(void **state)
{
  static const char letters[] = "lab-1LAB%+/@cn:._\n\xc3";
  static const struct provision_rule all = { 0 };
  const struct provision_config config = {
    .rules = &all, .nrules = 1, .unknown = PROVISION_UNKNOWN_THROWAWAY
  };
  const struct provision_asker him = CN("lab-1");
  const struct disk_name own = { .disk = "d" };
  struct ruling his;
  unsigned others = 0;

  (void)state;
  assert_int_equal(rules_decide(&config, &him, &own, &his), 0);
  for (unsigned i = 0; i < 300000; i++) {
    const struct provision_asker askers[] = { PLAIN("192.0.2.7"), PSK("lab-1"),
                                              CN("lab-2") };
    char text[12] = "d/";
    struct disk_name name;
    struct ruling ruling;
    const size_t len = unit_random() % (sizeof text - 3);
    for (size_t k = 0; k < len; k++)
      text[2 + k] = letters[unit_random() % (sizeof letters - 1)];
    if (disk_name_parse(text, &name) < 0)
      continue;
    for (size_t k = 0; k < ARRAY_SIZE(askers); k++) {
      if (rules_decide(&config, &askers[k], &name, &ruling) < 0)
        continue;
      others++;
      ROW_TRUE(text, strcmp(ruling.client, his.client) != 0);
    }
  }
  assert_true(others > 1000);
}

static const struct {
  const char *pattern, *text;
  bool match;
} patterns[] = {
  { "", "", true },
  { "", "a", false },
  { "*", "", true },
  { "*", "abc", true },
  { "a*", "abc", true },
  { "*c", "abc", true },
  { "a*c", "abc", true },
  { "a*b", "abc", false },
  { "a?c", "abc", true },
  { "a?", "a", false },
  { "?", "", false },
  { "**", "", true },
  { "*b*", "abc", true },
  { "*ab", "aab", true },
  { "a*ab", "aab", true },
  { "*aab", "aaaab", true },
  { "abc", "abc", true },
  { "abc", "abcd", false },
  { "abcd", "abc", false },
  { "ABC", "abc", false },
  { "a*", "*", false },
  { "[a]", "a", false },
  { "\\*", "*", false },
  { "*", "*?", true },
  { "a*b*c", "axxbxxc", true },
  { "a*b*c", "axxcxxb", false },
};

static void
test_patterns(void **state)
{
  char many[201], text[2001];

  (void)state;
  for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
    ROW_INT(patterns[i].pattern,
            rules_match(patterns[i].pattern, patterns[i].text),
            patterns[i].match);
  /* Whoever writes a pattern cannot make it take for ever. */
  for (size_t i = 0; i < sizeof many - 1; i += 2)
    memcpy(many + i, "*a", 2);
  many[sizeof many - 2] = 'b';
  many[sizeof many - 1] = '\0';
  memset(text, 'a', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  assert_false(rules_match(many, text));
}

static void
test_who(void **state)
{
  static const char *const fine[] = {
    "a",
    "*",
    "52-54-00-*",
    "52:54:00:*",
    "cn:lab-*",
    "psk:x",
    "name:cn:x",
    "address:192.0.2.*",
    "address:0.0.0.0/0",
    "address:2001:db8::/128",
  };
  static const char *const wrong[] = {
    "",
    "cn:",
    "psk:",
    "name:",
    "address:",
    "address:192.0.2.0/33",
    "address:192.0.2/24",
    "address:192.0.2.0/",
    "address:192.0.2.0/-1",
    "address:192.0.2.0/1x",
    "address:2001:db8::/129",
    "address:x/8",
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_SIZE(fine); i++)
    ROW_TRUE(fine[i], rules_check_who(fine[i]) == NULL);
  for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
    ROW_TRUE(wrong[i], rules_check_who(wrong[i]) != NULL);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_rows),
    cmocka_unit_test(test_spelling),
    cmocka_unit_test(test_patterns),
    cmocka_unit_test(test_who),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
