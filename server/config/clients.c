/* SPDX-License-Identifier: BSD-2-Clause */
/* clients.c: see clients.h. */
#include "config.h"

#include "config/clients.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/option.h"
#include "provision/disk_name.h"
#include "provision/rules.h"

/* In the order of enum provision_policy, whose last one is nobody's to say. */
static const char *const policies[] = { "discard", "keep", "private",
                                        "readonly", "refuse" };

/* -------------------------------------------------------------------- rules */

int
clients_append(struct options *options, const struct provision_rule *rule)
{
  struct provision_config *config = &options->provision;
  struct provision_rule *rules = reallocarray((void *)(uintptr_t)config->rules,
                                              config->nrules + 1,
                                              sizeof *rules);

  if (!rules) {
    free((void *)(uintptr_t)rule->who);
    return -ENOMEM;
  }
  rules[config->nrules++] = *rule;
  config->rules = rules;
  return 0;
}

void
clients_free(struct options *options)
{
  struct provision_config *config = &options->provision;

  for (size_t i = 0; i < config->nrules; i++)
    free((void *)(uintptr_t)config->rules[i].who);
  free((void *)(uintptr_t)config->rules);
  config->rules = NULL;
  config->nrules = 0;
}

/* -------------------------------------------------------------- from a file */

static int
add_who(struct reading *reading, const config_setting_t *setting,
        struct options_list *who)
{
  const char *text = NULL;
  const int r = reading_string(reading, "who", setting, &text);
  const char *why = r == 0 ? rules_check_who(text) : NULL;

  if (why)
    return reading_complain(reading, setting, "who: '%s': %s", text, why);
  return r < 0 ? r
         : options_list_append(who, text) < 0
           ? reading_complain(reading, setting, "out of memory")
           : 0;
}

static int
set_who(struct reading *reading, const config_setting_t *setting,
        struct options_list *who)
{
  int r = 0;

  if (!config_setting_is_array(setting) && !config_setting_is_list(setting))
    return add_who(reading, setting, who);
  if (config_setting_length(setting) == 0)
    return reading_complain(reading, setting,
                            "who has nobody in it: leave it out to speak of "
                            "everybody");
  for (int i = 0; r == 0 && i < config_setting_length(setting); i++)
    r = add_who(reading, config_setting_get_elem(setting, (unsigned)i), who);
  return r;
}

static int
set_policy(struct reading *reading, const config_setting_t *setting,
           struct provision_rule *rule)
{
  const char *word = NULL;
  const int r = reading_string(reading, "policy", setting, &word);

  for (size_t i = 0; r == 0 && i < sizeof policies / sizeof *policies; i++) {
    if (strcmp(policies[i], word) == 0) {
      rule->policy = (enum provision_policy)i;
      return 0;
    }
  }
  return r < 0 ? r
               : reading_complain(reading, setting,
                                  "policy: '%s' is none of discard, keep, "
                                  "private, readonly and refuse",
                                  word);
}

static int
set_disk(struct reading *reading, const config_setting_t *setting,
         struct provision_rule *rule)
{
  const int r = reading_string(reading, "disk", setting, &rule->disk);

  return r == 0 && (*rule->disk == '\0' || strpbrk(rule->disk, "/@"))
           ? reading_complain(reading, setting,
                              "disk: '%s' is no name of a disk, nor a pattern "
                              "of names such as \"debian*\"",
                              rule->disk)
           : r;
}

static int
set_version(struct reading *reading, const config_setting_t *setting,
            struct provision_rule *rule)
{
  rule->version = reading_value(reading, setting);
  return rule->version && disk_name_is_version(rule->version)
           ? 0
           : reading_complain(reading, setting,
                              "version is \"production\", \"test\", "
                              "\"maintenance\" or a number");
}

static int
set_quota(struct reading *reading, const config_setting_t *setting,
          struct provision_rule *rule)
{
  const char *value = reading_value(reading, setting);

  return value && option_size(value, &rule->quota) == 0 && rule->quota > 0
           ? 0
           : reading_complain(reading, setting,
                              "quota is a number of bytes, such as \"20G\"");
}

static int
set_of_rule(struct reading *reading, const config_setting_t *setting,
            struct provision_rule *rule, struct options_list *who)
{
  const char *name = config_setting_name(setting);

  return strcmp(name, "disk") == 0      ? set_disk(reading, setting, rule)
         : strcmp(name, "who") == 0     ? set_who(reading, setting, who)
         : strcmp(name, "policy") == 0  ? set_policy(reading, setting, rule)
         : strcmp(name, "version") == 0 ? set_version(reading, setting, rule)
         : strcmp(name, "quota") == 0
           ? set_quota(reading, setting, rule)
           : reading_complain(reading, setting,
                              "a rule has no setting '%s', but disk, who, "
                              "policy, version and quota",
                              name);
}

static int
add_rule(struct reading *reading, const config_setting_t *setting)
{
  struct provision_rule rule = { .policy = PROVISION_DISCARD };
  struct options_list who = { NULL, 0 };
  int r = 0;

  if (!config_setting_is_group(setting))
    return reading_complain(reading, setting,
                            "a rule is written { disk = \"DISK\"; who = [ "
                            "\"PATTERN\" ]; policy = \"discard\"; }");
  for (int i = 0; r == 0 && i < config_setting_length(setting); i++)
    r = set_of_rule(reading, config_setting_get_elem(setting, (unsigned)i),
                    &rule, &who);
  if (r < 0) {
    free(who.items);
    return r;
  }
  rule.who = who.items;
  rule.nwho = who.n;
  return clients_append(reading->options, &rule) < 0
           ? reading_complain(reading, setting, "out of memory")
           : 0;
}

int
clients_add(struct reading *reading, const config_setting_t *setting)
{
  int r = 0;

  if (!config_setting_is_list(setting))
    return reading_complain(reading, setting,
                            "clients are written ( { ... }, { ... } )");
  for (int i = 0; r == 0 && i < config_setting_length(setting); i++)
    r = add_rule(reading, config_setting_get_elem(setting, (unsigned)i));
  return r;
}
