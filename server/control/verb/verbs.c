/* SPDX-License-Identifier: BSD-2-Clause */
/* verbs.c: the table of verbs; see verbs.h. */
#include "config.h"

#include "control/verb/verbs.h"

#include <string.h>

/* clang-format off */
static const struct control_verb *const table[] = {
  &cancel_verb,
  &clients_verb,
  &compact_verb,
  &disconnect_verb,
  &drain_verb,
  &events_verb,
  &exports_verb,
  &merge_verb,
  &reload_verb,
  &resize_verb,
  &snapshot_verb,
  &status_verb,
  &stop_verb,
  &undrain_verb,
};
/* clang-format on */

const struct control_verb *
verb_find(const char *name)
{
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (strcmp(table[i]->name, name) == 0)
      return table[i];
  return NULL;
}
