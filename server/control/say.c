/* SPDX-License-Identifier: BSD-2-Clause */
/* say.c: see say.h. */
#include "config.h"

#include "control/say.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

json_t *
say_text(const char *text)
{
  if (!text)
    return json_null();
  const size_t size = 4 * strlen(text) + 1;
  char *clean = malloc(size);
  json_t *value = NULL;

  if (clean) {
    log_sanitize(text, clean, (unsigned)size);
    value = json_string(clean);
  }
  free(clean);
  return value;
}

void
say_string(json_t *object, const char *key, const char *text)
{
  json_object_set_new(object, key, say_text(text));
}

void
say_number(json_t *object, const char *key, uint64_t number)
{
  json_object_set_new(object, key,
                      json_integer(number <= INT64_MAX ? (json_int_t)number
                                                       : INT64_MAX));
}

void
say_bool(json_t *object, const char *key, bool value)
{
  json_object_set_new(object, key, json_boolean(value));
}

/* In thousandths, so that no binary fraction is written out. */
void
say_seconds(json_t *object, const char *key, uint64_t nsec)
{
  json_object_set_new(object, key,
                      json_real((double)(nsec / 1000000) / 1000.0));
}

void
say_moment(json_t *object, const char *key, uint64_t nsec)
{
  struct timespec now;
  const int64_t ago = (int64_t)(clock_ns() - nsec);

  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t wall = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
  say_seconds(object, key, wall > ago ? (uint64_t)(wall - ago) : 0);
}
