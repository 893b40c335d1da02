/* SPDX-License-Identifier: BSD-2-Clause */
/* rule_book.c: see rule_book.h. */
#include "config.h"

#include "catalog/source/rule_book.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/text.h"
#include "catalog/source/strings.h"
#include "provision/provision_config.h"

struct rule_book {
  size_t n;
  struct provision_rule rules[];
};

void
rule_book_free(struct rule_book *clients)
{
  for (size_t i = 0; clients && i < clients->n; i++)
    free((void *)(uintptr_t)clients->rules[i].who);
  free(clients);
}

/* ------------------------------------------------------------------ copying */

static int
keep(struct strings *strings, const char *text, const char **kept)
{
  *kept = text ? strings_keep(strings, text) : NULL;
  return text && !*kept ? -ENOMEM : 0;
}

static int
copy_rule(const struct provision_rule *from, struct strings *strings,
          struct provision_rule *rule)
{
  const char **who = calloc(from->nwho + 1, sizeof *who);
  int r = who ? 0 : -ENOMEM;

  *rule = *from;
  rule->who = who;
  if (r == 0)
    r = keep(strings, from->disk, &rule->disk);
  if (r == 0)
    r = keep(strings, from->version, &rule->version);
  for (size_t i = 0; i < from->nwho && r == 0; i++)
    r = keep(strings, from->who[i], &who[i]);
  return r;
}

/* NULL: memory is short. */
static struct rule_book *
copy_rules(const struct provision_config *from, struct strings *strings)
{
  struct rule_book *copy =
    calloc(1, sizeof *copy + from->nrules * sizeof *copy->rules);
  int r = copy ? 0 : -ENOMEM;

  for (size_t i = 0; r == 0 && i < from->nrules; i++) {
    copy->n++;
    r = copy_rule(&from->rules[i], strings, &copy->rules[i]);
  }
  if (r == 0)
    return copy;
  rule_book_free(copy);
  return NULL;
}

/* --------------------------------------------------------------- difference */

static bool
is_same_rule(const struct provision_rule *a, const struct provision_rule *b)
{
  bool same = a->policy == b->policy && a->quota == b->quota &&
              a->nwho == b->nwho && text_same(a->disk, b->disk) &&
              text_same(a->version, b->version);

  for (size_t i = 0; same && i < a->nwho; i++)
    same = text_same(a->who[i], b->who[i]);
  return same;
}

static bool
is_same(const struct provision_config *a, const struct provision_config *b)
{
  bool same = a->unknown == b->unknown && a->linger_sec == b->linger_sec &&
              a->quota == b->quota && a->reserve == b->reserve &&
              a->nrules == b->nrules;

  for (size_t i = 0; same && i < a->nrules; i++)
    same = is_same_rule(&a->rules[i], &b->rules[i]);
  return same;
}

int
rule_book_change(struct provision_config *config, struct rule_book **own,
                 struct strings *strings, const struct provision_config *now)
{
  if (is_same(config, now))
    return 0;
  struct rule_book *copy = copy_rules(now, strings);
  if (!copy)
    return -ENOMEM;
  config->rules = copy->rules;
  config->nrules = copy->n;
  config->unknown = now->unknown;
  config->linger_sec = now->linger_sec;
  config->quota = now->quota;
  config->reserve = now->reserve;
  rule_book_free(*own);
  *own = copy;
  return 1;
}
