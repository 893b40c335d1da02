/* SPDX-License-Identifier: BSD-2-Clause */
/* table.c: see table.h. */
#include "config.h"

#include "control/socket/table.h"

#include <string.h>

#include "control/disks/verbs.h"
#include "control/verb/verbs.h"

/* clang-format off */
static const struct control_verb *const table[] = {
  &apply_verb,
  &cancel_verb,
  &children_verb,
  &clients_verb,
  &compact_verb,
  &delete_version_verb,
  &describe_verb,
  &discard_verb,
  &disconnect_verb,
  &disks_verb,
  &drain_verb,
  &events_verb,
  &exports_verb,
  &merge_verb,
  &new_version_verb,
  &promote_verb,
  &reload_verb,
  &resize_verb,
  &rollback_verb,
  &schedule_verb,
  &snapshot_verb,
  &status_verb,
  &stop_verb,
  &test_verb,
  &undrain_verb,
  &versions_verb,
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
