/* SPDX-License-Identifier: BSD-2-Clause */
/* message.h: what the tool says on standard error. */
#ifndef TOOL_MESSAGE_H
#define TOOL_MESSAGE_H

#include "exits.h"

/* "vhdkit VERB: ", the sentence, a newline.  Names in it may come from an
 * image: what could steer a terminal becomes '?'. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same, with why: what errno says of it behind a colon, which is also noted
 * for the exit code (exits.h). */
void complain_sys(int sys, const char *fmt, ...)
  __attribute__((format(printf, 2, 3)));
/* The same, with the exit code itself; returns EXIT_FAILED. */
int complain_as(int code, const char *fmt, ...)
  __attribute__((format(printf, 2, 3)));
/* Of a command line that cannot be obeyed. */
#define complain_usage(...) complain_as(EXIT_USAGE, __VA_ARGS__)

/* What is said from now on goes to fd as well, a sentence a line; -1: nowhere
 * else. */
void message_copy(int fd);

/* The program that speaks; vhdkit where nothing is said. */
void message_program(const char *name);
/* The verb that speaks; NULL before one is known. */
void message_verb(const char *name);

#endif
