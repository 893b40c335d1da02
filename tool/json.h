/* SPDX-License-Identifier: BSD-2-Clause */
/* json.h: JSON, on standard output for the most part.  Values are built, then
 * printed; a long list is printed item by item.  Nothing here fails: out of
 * memory aborts, and what is not UTF-8 in a string becomes '?'. */
#ifndef TOOL_JSON_H
#define TOOL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json;

struct json *json_object_new(void);
struct json *json_array_new(void);

/* Members of an object. */
void json_put_string(struct json *object, const char *key, const char *value);
void json_put_int(struct json *object, const char *key, uint64_t value);
void json_put_bool(struct json *object, const char *key, bool value);
void json_put_null(struct json *object, const char *key);
/* The object or array then owns value. */
void json_put(struct json *object, const char *key, struct json *value);
void json_add(struct json *array, struct json *value);
void json_add_string(struct json *array, const char *value);
void json_add_int(struct json *array, uint64_t value);

/* The object or array that a text is; NULL: it is none. */
struct json *json_read(const char *text, size_t len);

/* Of what is not printed.  NULL is none. */
void json_free(struct json *value);

/* What is in a value that was read: each may be NULL, or of another kind, which
 * is then nothing, 0, "" or false. */
const struct json *json_get(const struct json *object, const char *key);
const char *json_text(const struct json *value); /* NULL: it is no string */
uint64_t json_int(const struct json *value);
bool json_has_int(const struct json *value);
double json_float(const struct json *value); /* any number */
bool json_yes(const struct json *value);
size_t json_count(const struct json *array);
const struct json *json_item(const struct json *array, size_t i);
/* The i-th member of an object; NULL: it has no more. */
const struct json *json_member(const struct json *object, size_t i,
                               const char **key);
/* Another owner's reference to it. */
struct json *json_keep(const struct json *value);
/* Prints a value with a newline, and frees it. */
void json_print(struct json *value);
/* The same on one line, at once. */
void json_print_line(struct json *value, FILE *out);

/* An array on standard output, one item a line.  The list owns nothing. */
struct json_list {
  bool begun;
};

void json_list_item(struct json_list *list, struct json *item); /* frees it */
void json_list_end(struct json_list *list);

#endif
