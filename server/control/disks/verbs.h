/* SPDX-License-Identifier: BSD-2-Clause */
/* verbs.h: the verbs of the control socket that look at disks (look.c) and
 * change them (change.c). */
#ifndef SERVER_CONTROL_DISKS_VERBS_H
#define SERVER_CONTROL_DISKS_VERBS_H

#include "control/question.h"

extern const struct control_verb apply_verb;
extern const struct control_verb children_verb;
extern const struct control_verb delete_version_verb;
extern const struct control_verb describe_verb;
extern const struct control_verb discard_verb;
extern const struct control_verb disks_verb;
extern const struct control_verb new_version_verb;
extern const struct control_verb promote_verb;
extern const struct control_verb rollback_verb;
extern const struct control_verb schedule_verb;
extern const struct control_verb test_verb;
extern const struct control_verb versions_verb;

#endif
