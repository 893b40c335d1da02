/* SPDX-License-Identifier: BSD-2-Clause */
/* message.h: what the tool says on standard error. */
#ifndef TOOL_MESSAGE_H
#define TOOL_MESSAGE_H

/* "vhdkit VERB: ", the sentence, a newline.  Names in it may come from an
 * image: what could steer a terminal becomes '?'. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The verb that speaks; NULL before one is known. */
void message_verb(const char *name);

#endif
