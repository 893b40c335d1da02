/* SPDX-License-Identifier: BSD-2-Clause */
/* table.h: all verbs of the control socket.  Any thread. */
#ifndef SERVER_CONTROL_SOCKET_TABLE_H
#define SERVER_CONTROL_SOCKET_TABLE_H

struct control_verb;

/* NULL: there is none of that name. */
const struct control_verb *verb_find(const char *name);

#endif
