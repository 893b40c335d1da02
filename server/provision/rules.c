/* SPDX-License-Identifier: BSD-2-Clause */
/* rules.c: see rules.h. */
#include "config.h"

#include "provision/rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------- patterns */

/* Each star takes as little as will do, and the last one takes more when the
 * rest does not fit: what came before it need not be tried again. */
bool
rules_match(const char *pattern, const char *text)
{
  const char *star = NULL, *from = NULL;

  while (*text) {
    if (*pattern == '*') {
      star = ++pattern;
      from = text;
    } else if (*pattern == '?' || *pattern == *text) {
      pattern++;
      text++;
    } else if (star) {
      pattern = star;
      text = ++from;
    } else {
      return false;
    }
  }
  return pattern[strspn(pattern, "*")] == '\0';
}

/* A network: an address with the number of bits that count. */
struct network {
  unsigned char address[16];
  int family;
  unsigned bits;
};

static bool
parse_network(const char *text, struct network *network)
{
  char address[INET6_ADDRSTRLEN];
  const size_t len = strcspn(text, "/");
  const char *bits = text[len] ? text + len + 1 : "";

  if (len >= sizeof address || strlen(bits) - 1 > 2 ||
      bits[strspn(bits, "0123456789")] != '\0')
    return false;
  memcpy(address, text, len);
  address[len] = '\0';
  network->family = strchr(address, ':') ? AF_INET6 : AF_INET;
  network->bits = (unsigned)strtoul(bits, NULL, 10);
  return network->bits <= (network->family == AF_INET6 ? 128 : 32) &&
         inet_pton(network->family, address, network->address) == 1;
}

static bool
is_in_network(const char *pattern, const char *address)
{
  struct network network;
  unsigned char bytes[16] = { 0 };
  char plain[INET6_ADDRSTRLEN];

  /* A scope says where, not who. */
  snprintf(plain, sizeof plain, "%.*s", (int)strcspn(address, "%"), address);
  if (!parse_network(pattern, &network) ||
      inet_pton(network.family, plain, bytes) != 1)
    return false;
  const unsigned whole = network.bits / 8, rest = network.bits % 8;
  return memcmp(bytes, network.address, whole) == 0 &&
         (rest == 0 ||
          (bytes[whole] ^ network.address[whole]) >> (8 - rest) == 0);
}

/* Of which kind is it said, and what? */
static enum client_id_kind
split_who(const char *who, const char **pattern)
{
  static const enum client_id_kind kinds[] = { CLIENT_BY_CERTIFICATE,
                                               CLIENT_BY_PSK, CLIENT_BY_NAME,
                                               CLIENT_BY_ADDRESS };

  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    const char *word = client_id_word(kinds[i]);
    const size_t len = strlen(word);
    if (strncmp(who, word, len) == 0 && who[len] == ':') {
      *pattern = who + len + 1;
      return kinds[i];
    }
  }
  *pattern = who;
  return CLIENT_BY_NAME;
}

const char *
rules_check_who(const char *who)
{
  const char *pattern;
  const enum client_id_kind kind = split_who(who, &pattern);
  struct network network;

  if (*pattern == '\0')
    return "it stands for nobody";
  return kind == CLIENT_BY_ADDRESS && strchr(pattern, '/') &&
             !parse_network(pattern, &network)
           ? "this is no network; examples: 192.0.2.0/24, 2001:db8::/32"
           : NULL;
}

/* ---------------------------------------------------------- who, which rule */

struct client {
  enum client_id_kind kind;
  const char *identity; /* NULL: he has none */
  const char *issuer;
  char address[128];
};

/* NULL, or why he cannot ask for that. */
static const char *
identify(const struct provision_asker *asker, const struct disk_name *name,
         struct client *client)
{
  const char *proved = asker->certificate ? asker->certificate : asker->psk;
  const bool says = name->kind == DISK_NAME_CLIENT;

  *client = (struct client){ .identity = proved };
  if (proved) {
    client->kind = asker->certificate ? CLIENT_BY_CERTIFICATE : CLIENT_BY_PSK;
    client->issuer = asker->certificate ? asker->issuer : NULL;
    return says && strcmp(proved, name->client) != 0
             ? "he has proved to be another than the one he names"
             : NULL;
  }
  client->kind = says ? CLIENT_BY_NAME : CLIENT_BY_ADDRESS;
  if (says) {
    client->identity = name->client;
  } else if (asker->address &&
             client_id_address(asker->address, client->address,
                               sizeof client->address) == 0) {
    client->identity = client->address;
  }
  return NULL;
}

static bool
is_meant(const char *who, const struct client *client)
{
  const char *pattern;

  if (split_who(who, &pattern) != client->kind)
    return false;
  return client->kind == CLIENT_BY_ADDRESS && strchr(pattern, '/')
           ? is_in_network(pattern, client->identity)
           : rules_match(pattern, client->identity);
}

static bool
speaks_of(const struct provision_rule *rule, const char *disk,
          const struct client *client)
{
  bool meant = rule->nwho == 0;

  if (rule->disk && !rules_match(rule->disk, disk))
    return false;
  for (size_t i = 0; !meant && i < rule->nwho; i++)
    meant = is_meant(rule->who[i], client);
  return meant && client->identity;
}

/* What whoever no rule speaks of is treated by. */
static struct provision_rule
rule_of_unknown(const struct provision_config *config)
{
  static const enum provision_policy policies[] = {
    [PROVISION_UNKNOWN_REFUSE] = PROVISION_REFUSE,
    [PROVISION_UNKNOWN_READONLY] = PROVISION_READONLY,
    [PROVISION_UNKNOWN_THROWAWAY] = PROVISION_THROWAWAY,
  };

  return (struct provision_rule){ .policy = policies[config->unknown] };
}

static struct provision_rule
rule_of(const struct provision_config *config, const char *disk,
        const struct client *client)
{
  for (size_t i = 0; client->identity && i < config->nrules; i++)
    if (speaks_of(&config->rules[i], disk, client))
      return config->rules[i];
  return rule_of_unknown(config);
}

/* ---------------------------------------------------------------- decisions */

static int
nothing(struct ruling *ruling, const char *why)
{
  ruling->what = RULING_NOTHING;
  ruling->why = why;
  return -EACCES;
}

static void
say_version(struct ruling *ruling, const char *version)
{
  snprintf(ruling->version, sizeof ruling->version, "%s", version);
}

static const char *
version_of(const struct provision_rule *rule)
{
  return rule->version ? rule->version : DISK_PRODUCTION;
}

/* Who is to maintain a disk may read all of its versions, who is to test may
 * read what is tested, and each what he gets a child of; and what everybody
 * gets. */
static bool
may_read(const struct provision_rule *rule, const char *version)
{
  const char *his = version_of(rule);

  return strcmp(version, DISK_PRODUCTION) == 0 || strcmp(version, his) == 0 ||
         strcmp(his, DISK_MAINTENANCE) == 0;
}

static int
give_version(const struct provision_rule *rule, const char *version,
             struct ruling *ruling)
{
  if (!may_read(rule, version))
    return nothing(ruling, "his rule does not give him that version");
  ruling->what = RULING_VERSION;
  say_version(ruling, version);
  return 0;
}

static int
give_maintenance(struct ruling *ruling)
{
  ruling->what = RULING_MAINTENANCE;
  say_version(ruling, DISK_MAINTENANCE);
  return 0;
}

static int
give_child(const struct provision_config *config,
           const struct provision_rule *rule, const struct client *client,
           struct ruling *ruling)
{
  if (!client->identity)
    return nothing(ruling, "nothing tells him from others: neither TLS, nor a "
                           "name in the export, nor an address");
  if (client_id_file(client->kind, client->identity, client->issuer,
                     ruling->client, sizeof ruling->client) < 0)
    return nothing(ruling, "his identity is incomplete");
  ruling->what = RULING_CHILD;
  ruling->policy = rule->policy;
  ruling->quota = rule->quota ? rule->quota : config->quota;
  say_version(ruling, version_of(rule));
  return 0;
}

int
rules_decide(const struct provision_config *config,
             const struct provision_asker *asker, const struct disk_name *name,
             struct ruling *ruling)
{
  struct client client;

  *ruling = (struct ruling){ .what = RULING_NOTHING };
  snprintf(ruling->disk, sizeof ruling->disk, "%s", name->disk);
  const char *why = identify(asker, name, &client);
  if (why)
    return nothing(ruling, why);
  const struct provision_rule rule = rule_of(config, name->disk, &client);
  const bool maintains = strcmp(version_of(&rule), DISK_MAINTENANCE) == 0 &&
                         rule.policy != PROVISION_READONLY;
  if (rule.policy == PROVISION_REFUSE)
    return nothing(ruling, "no rule gives him anything of that disk");
  if (name->kind == DISK_NAME_VERSION)
    return maintains && strcmp(name->version, DISK_MAINTENANCE) == 0
             ? give_maintenance(ruling)
             : give_version(&rule, name->version, ruling);
  return maintains ? give_maintenance(ruling)
         : rule.policy == PROVISION_READONLY
           ? give_version(&rule, version_of(&rule), ruling)
           : give_child(config, &rule, &client, ruling);
}
