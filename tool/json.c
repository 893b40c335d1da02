/* SPDX-License-Identifier: BSD-2-Clause */
/* json.c: see json.h; the one file that knows jansson.  A struct json is a
 * json_t by another name. */
#include "config.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "text.h"

static json_t *
own(struct json *value)
{
  return (json_t *)value;
}

static struct json *
made(json_t *value)
{
  if (value == NULL)
    abort();
  return (struct json *)value;
}

struct json *
json_object_new(void)
{
  return made(json_object());
}

struct json *
json_array_new(void)
{
  return made(json_array());
}

static json_t *
string_value(const char *text)
{
  json_t *value = json_string(text);

  if (value == NULL) {
    /* Not UTF-8: paths may be anything. */
    char *safe = text_safe(text);
    value = json_string(safe);
    free(safe);
  }
  return (json_t *)made(value);
}

static void
put(struct json *object, const char *key, json_t *value)
{
  made(value);
  if (json_object_set_new(own(object), key, value) < 0)
    abort();
}

void
json_put_string(struct json *object, const char *key, const char *value)
{
  put(object, key, string_value(value));
}

void
json_put_int(struct json *object, const char *key, uint64_t value)
{
  char text[24];

  if (value <= INT64_MAX) {
    put(object, key, json_integer((json_int_t)value));
    return;
  }
  /* Nonsense from a hostile image, but to be told as it is. */
  snprintf(text, sizeof text, "%" PRIu64, value);
  put(object, key, json_string(text));
}

void
json_put_bool(struct json *object, const char *key, bool value)
{
  put(object, key, json_boolean(value));
}

void
json_put_null(struct json *object, const char *key)
{
  put(object, key, json_null());
}

void
json_put(struct json *object, const char *key, struct json *value)
{
  put(object, key, own(value));
}

void
json_add(struct json *array, struct json *value)
{
  if (json_array_append_new(own(array), own(value)) < 0)
    abort();
}

void
json_add_string(struct json *array, const char *value)
{
  if (json_array_append_new(own(array), string_value(value)) < 0)
    abort();
}

void
json_add_int(struct json *array, uint64_t value)
{
  if (json_array_append_new(own(array), json_integer((json_int_t)value)) < 0)
    abort();
}

struct json *
json_read(const char *text, size_t len)
{
  return (struct json *)json_loadb(text, len, 0, NULL);
}

void
json_free(struct json *value)
{
  json_decref(own(value));
}

/* ------------------------------------------------------------ what was read */

static const json_t *
see(const struct json *value)
{
  return (const json_t *)value;
}

static const struct json *
part(const json_t *value)
{
  return (const struct json *)value;
}

const struct json *
json_get(const struct json *object, const char *key)
{
  return part(json_object_get(see(object), key));
}

const char *
json_text(const struct json *value)
{
  return json_string_value(see(value));
}

uint64_t
json_int(const struct json *value)
{
  json_int_t number = json_integer_value(see(value));

  return number > 0 ? (uint64_t)number : 0;
}

bool
json_has_int(const struct json *value)
{
  return json_is_integer(see(value));
}

double
json_float(const struct json *value)
{
  return json_number_value(see(value));
}

bool
json_yes(const struct json *value)
{
  return json_is_true(see(value));
}

size_t
json_count(const struct json *array)
{
  return json_array_size(see(array));
}

const struct json *
json_item(const struct json *array, size_t i)
{
  return part(json_array_get(see(array), i));
}

const struct json *
json_member(const struct json *object, size_t i, const char **key)
{
  json_t *value = (json_t *)see(object);
  void *at = json_object_iter(value);

  for (; at != NULL && i > 0; i--)
    at = json_object_iter_next(value, at);
  *key = at != NULL ? json_object_iter_key(at) : NULL;
  return at != NULL ? part(json_object_iter_value(at)) : NULL;
}

struct json *
json_keep(const struct json *value)
{
  return (struct json *)json_incref((json_t *)see(value));
}

void
json_print(struct json *value)
{
  json_dumpf(own(value), stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
  putchar('\n');
  json_decref(own(value));
}

void
json_print_line(struct json *value, FILE *out)
{
  json_dumpf(own(value), out, JSON_COMPACT | JSON_PRESERVE_ORDER);
  fputc('\n', out);
  fflush(out);
  json_decref(own(value));
}

void
json_list_item(struct json_list *list, struct json *item)
{
  fputs(list->begun ? ",\n " : "[\n ", stdout);
  list->begun = true;
  json_dumpf(own(item), stdout, JSON_PRESERVE_ORDER);
  json_decref(own(item));
}

void
json_list_end(struct json_list *list)
{
  fputs(list->begun ? "\n]\n" : "[]\n", stdout);
}
