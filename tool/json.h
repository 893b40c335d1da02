/* SPDX-License-Identifier: BSD-2-Clause */
/* json.h: JSON, on standard output for the most part.  Values are built, then
 * printed; a long list is printed item by item.  Nothing here fails: out of
 * memory aborts, and what is not UTF-8 in a string becomes '?'. */
#ifndef TOOL_JSON_H
#define TOOL_JSON_H

#include <stdbool.h>
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

/* The object or array that a text is; NULL: it is none. */
struct json *json_read(const char *text, size_t len);

/* Of what is not printed.  NULL is none. */
void json_free(struct json *value);
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
