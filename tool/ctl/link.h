/* SPDX-License-Identifier: BSD-2-Clause */
/* link.h: a connection to vhdkitd's control socket, as vhdkit-control(7) has
 * it.  What it answers is a server's, and no more trusted than that: it is
 * printed, and what could steer a terminal is taken out. */
#ifndef TOOL_CTL_LINK_H
#define TOOL_CTL_LINK_H

#include "json.h"
#include "options.h"

#define LINK_SOCKET "/run/vhdkit/control"

struct link;

/* --socket, --json */
extern const struct option_spec link_options[];
/* Was --json said? */
bool link_json(void);

/* To --socket.  NULL: it has complained. */
struct link *link_open(void);
void link_close(struct link *link);

/* Asks, and waits for the answer; shows progress where there is some.  args:
 * the request's, or NULL; becomes the link's.  The result, the caller's to
 * free; NULL: it has complained, with the exit code of the error's class. */
struct json *link_ask(struct link *link, const char *verb, struct json *args);
/* The same for one question alone. */
struct json *link_ask_once(const char *verb, struct json *args);

/* Is there nothing more to say of an answer?  It is NULL, of which it has
 * complained, or was printed as JSON, as --json wants it, and is freed.
 * *status: the exit code, in any case. */
bool link_told(struct json *result, int *status);
/* Else show() says it, if there is something to show; frees the answer.  The
 * exit code. */
int link_tell(struct json *result, void (*show)(const struct json *result));

/* Asks for events; then each: the caller's to free.  NULL: it has complained,
 * of the server's end too. */
bool link_follow(struct link *link);
struct json *link_event(struct link *link);

#endif
