/* SPDX-License-Identifier: BSD-2-Clause */
/* request.c: see request.h. */
#include "config.h"

#include "control/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAME_SHOWN 40 /* of what somebody has made up */

static bool wrong(char *why, size_t size, const char *fmt, ...)
  __attribute__((format(printf, 3, 4)));

static bool
wrong(char *why, size_t size, const char *fmt, ...)
{
  va_list ap;

  va_start(ap, fmt);
  vsnprintf(why, size, fmt, ap);
  va_end(ap);
  return false;
}

static bool
is_id(const json_t *value)
{
  return json_is_integer(value) ||
         (json_is_string(value) &&
          json_string_length(value) <= REQUEST_MAX_ID);
}

static bool
set_verb(struct request *request, const json_t *value, char *why, size_t size)
{
  const size_t len = json_is_string(value) ? json_string_length(value) : 0;

  if (len == 0)
    return wrong(why, size, "verb is a string that names one");
  if (len >= sizeof request->verb)
    return wrong(why, size, "there is no verb of so many letters");
  memcpy(request->verb, json_string_value(value), len + 1);
  return true;
}

static bool
set_member(struct request *request, const char *key, json_t *value, char *why,
           size_t size)
{
  if (strcmp(key, "verb") == 0)
    return set_verb(request, value, why, size);
  if (strcmp(key, "args") != 0 && strcmp(key, "id") != 0)
    return wrong(why, size, "a request has id, verb and args, but no '%.*s'",
                 NAME_SHOWN, key);
  if (strcmp(key, "id") == 0)
    return true; /* it is there already */
  if (!json_is_object(value))
    return wrong(why, size, "args is an object");
  request->args = json_incref(value);
  return true;
}

/* First the id, with which whatever is wrong with the others is told. */
static bool
set_all(struct request *request, json_t *root, char *why, size_t size)
{
  json_t *id = json_object_get(root, "id"), *value;
  const char *key;

  if (id && !is_id(id))
    return wrong(why, size, "id is a number or a string of at most %d bytes",
                 REQUEST_MAX_ID);
  request->id = json_incref(id);
  json_object_foreach(root, key,
                      value) if (!set_member(request, key, value, why,
                                             size)) return false;
  return request->verb[0] != '\0' ||
         wrong(why, size, "the request has no verb");
}

bool
request_parse(const char *line, size_t len, struct request *request, char *why,
              size_t size)
{
  json_error_t error;
  json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
  bool fine;

  *request = (struct request){ .id = NULL };
  if (!root)
    fine = wrong(why, size, "the line is no JSON: %s", error.text);
  else if (!json_is_object(root))
    fine = wrong(why, size, "a request is an object: {\"verb\": ...}");
  else
    fine = set_all(request, root, why, size);
  json_decref(root);
  return fine;
}

void
request_clear(struct request *request)
{
  json_decref(request->id);
  json_decref(request->args);
  *request = (struct request){ .id = NULL };
}

/* --------------------------------------------------------------- arguments */

static bool
is_number(const json_t *value)
{
  return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool
is_numbers(const json_t *value)
{
  const json_t *item;
  size_t i;

  if (!json_is_array(value))
    return false;
  json_array_foreach(value, i, item) if (!is_number(item)) return false;
  return true;
}

static bool
check_arg(const struct request_arg *arg, const json_t *value, char *why,
          size_t size)
{
  switch (arg->kind) {
  case REQUEST_STRING:
    return json_is_string(value) ||
           wrong(why, size, "%s is a string", arg->name);
  case REQUEST_ID:
    return is_id(value) || wrong(why, size, "%s is an id", arg->name);
  case REQUEST_NUMBER:
    return is_number(value) || wrong(why, size, "%s is a number", arg->name);
  case REQUEST_BOOLEAN:
    return json_is_boolean(value) ||
           wrong(why, size, "%s is true or false", arg->name);
  case REQUEST_NUMBERS:
    return is_numbers(value) ||
           wrong(why, size, "%s is an array of numbers", arg->name);
  }
  return false;
}

static const struct request_arg *
find_arg(const struct request_arg *table, const char *name)
{
  const struct request_arg *arg = table;

  while (arg && arg->name && strcmp(arg->name, name) != 0)
    arg++;
  return arg && arg->name ? arg : NULL;
}

bool
request_check(const json_t *args, const struct request_arg *table, char *why,
              size_t size)
{
  const char *key;
  json_t *value;

  json_object_foreach((json_t *)args, key, value)
  {
    const struct request_arg *arg = find_arg(table, key);
    if (!arg)
      return wrong(why, size, "there is no argument '%.*s' here", NAME_SHOWN,
                   key);
    if (!check_arg(arg, value, why, size))
      return false;
  }
  for (const struct request_arg *arg = table; arg && arg->name; arg++)
    if (arg->needed && !json_object_get(args, arg->name))
      return wrong(why, size, "%s is missing", arg->name);
  return true;
}
