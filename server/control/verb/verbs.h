/* SPDX-License-Identifier: BSD-2-Clause */
/* verbs.h: verbs of the control socket.  To add one: a file here, or in a room
 * of its own beside this one, that defines a struct control_verb; a line below,
 * one in the table (control/socket/table.c), one in vhdkit-control.pod; and
 * what vhdkitctl makes of it. */
#ifndef SERVER_CONTROL_VERB_VERBS_H
#define SERVER_CONTROL_VERB_VERBS_H

#include "control/question.h"

extern const struct control_verb cancel_verb;
extern const struct control_verb clients_verb;
extern const struct control_verb disconnect_verb;
extern const struct control_verb drain_verb;
extern const struct control_verb events_verb;
extern const struct control_verb exports_verb;
extern const struct control_verb reload_verb;
extern const struct control_verb status_verb;
extern const struct control_verb stop_verb;
extern const struct control_verb undrain_verb;
/* online.c */
extern const struct control_verb compact_verb;
extern const struct control_verb merge_verb;
extern const struct control_verb resize_verb;
extern const struct control_verb snapshot_verb;

#endif
