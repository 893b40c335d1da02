/* SPDX-License-Identifier: BSD-2-Clause */
/* reading.c: see reading.h. */
#include "config.h"

#include "config/reading.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ what is wrong */

#define WHERE 1024

/* FILE:LINE. */
static void
tell_place(const struct reading *reading, const config_setting_t *setting,
           char where[WHERE])
{
  const char *file = config_setting_source_file(setting);

  /* That is said of included files alone. */
  snprintf(where, WHERE, "%s:%u", file ? file : reading->path,
           (unsigned)config_setting_source_line(setting));
}

int
reading_blame(struct reading *reading, const config_setting_t *at)
{
  char *text = reading->complaint->text;
  char where[WHERE];

  if (strncmp(text, "--", 2) == 0)
    memmove(text, text + 2, strlen(text + 2) + 1);
  tell_place(reading, at, where);
  return complain_where(reading->complaint, where);
}

int
reading_complain(struct reading *reading, const config_setting_t *at,
                 const char *fmt, ...)
{
  va_list ap;

  va_start(ap, fmt);
  vsnprintf(reading->complaint->text, reading->complaint->size, fmt, ap);
  va_end(ap);
  return reading_blame(reading, at);
}

const char *
reading_value(struct reading *reading, const config_setting_t *setting)
{
  char *text = NULL;

  switch (config_setting_type(setting)) {
  case CONFIG_TYPE_STRING:
    text = strdup(config_setting_get_string(setting));
    break;
  case CONFIG_TYPE_INT:
  case CONFIG_TYPE_INT64:
    if (asprintf(&text, "%lld", config_setting_get_int64(setting)) < 0)
      text = NULL;
    break;
  }
  return text && options_own(reading->options, text) == 0 ? text : NULL;
}

int
reading_bool(struct reading *reading, const char *name,
             const config_setting_t *setting, bool *value)
{
  if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
    return reading_complain(reading, setting, "%s is true or false", name);
  *value = config_setting_get_bool(setting);
  return 0;
}

int
reading_string(struct reading *reading, const char *name,
               const config_setting_t *setting, const char **value)
{
  *value = config_setting_type(setting) == CONFIG_TYPE_STRING
             ? reading_value(reading, setting)
             : NULL;
  return *value ? 0
                : reading_complain(reading, setting,
                                   "%s is a string in quotes", name);
}

const char *
reading_place(struct reading *reading, const config_setting_t *setting)
{
  char where[WHERE];

  tell_place(reading, setting, where);
  char *kept = strdup(where);
  return kept && options_own(reading->options, kept) == 0 ? kept : NULL;
}
