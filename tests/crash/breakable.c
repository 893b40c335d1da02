/* SPDX-License-Identifier: BSD-2-Clause */
/* breakable.c: in the programs that are built to be wrong: which rule of
 * lib/base/rules.h is broken, as CRASH_BREAK in the environment says.  Before
 * main(). */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bounds.h"
#include "base/rules.h"

enum rule rule_broken = RULE_NONE;
unsigned long bound_reached[BOUND_COUNT];

static const char *const names[] = {
#define RULE_ROW(name, text) #name,
  RULES(RULE_ROW)
#undef RULE_ROW
};

static void __attribute__((constructor))
choose_rule(void)
{
  const char *name = getenv("CRASH_BREAK");

  if (!name || !*name)
    return;
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(names[i], name) == 0) {
      rule_broken = (enum rule)i;
      return;
    }
  fprintf(stderr, "CRASH_BREAK: there is no rule %s\n", name);
  exit(2);
}
