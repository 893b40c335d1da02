/* SPDX-License-Identifier: BSD-2-Clause */
/* say.h: values of answers.  Where memory is short they become NULL, and who is
 * given NULL does nothing, as everywhere in jansson: a member is missing then.
 * Any thread, a value at a time. */
#ifndef SERVER_CONTROL_SAY_H
#define SERVER_CONTROL_SAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* NULL becomes null; what is no UTF-8, or would change how a terminal shows the
 * rest, is written as \xNN. */
json_t *say_text(const char *text);

/* Members of an object. */
void say_string(json_t *object, const char *key, const char *text);
void say_number(json_t *object, const char *key, uint64_t number);
void say_bool(json_t *object, const char *key, bool value);
/* Seconds, with three digits behind the point. */
void say_seconds(json_t *object, const char *key, uint64_t nsec);
/* The wall clock's time, in seconds since 1970, when clock_ns() was that. */
void say_moment(json_t *object, const char *key, uint64_t nsec);

#endif
