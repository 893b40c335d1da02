/* SPDX-License-Identifier: BSD-2-Clause */
/* verbs.c: the table of verbs; see verbs.h. */
#include "config.h"

#include "control/verb/verbs.h"

#include <string.h>

static const struct control_verb *const table[] = {
  &clients_verb, &compact_verb,  &merge_verb,
  &resize_verb,  &snapshot_verb, &status_verb,
};

const struct control_verb *
verb_find(const char *name)
{
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (strcmp(table[i]->name, name) == 0)
      return table[i];
  return NULL;
}
