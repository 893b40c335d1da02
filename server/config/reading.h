/* SPDX-License-Identifier: BSD-2-Clause */
/* reading.h: what those share who read settings of the configuration file: what
 * is wrong, with file and line, and the kinds of values.  Nobody outside this
 * room includes it.  The main thread. */
#ifndef SERVER_CONFIG_READING_H
#define SERVER_CONFIG_READING_H

#include <libconfig.h>
#include <stdbool.h>

#include "config/command_line_exports.h"

struct reading {
  const char *path;
  struct options *options;
  struct complaint *complaint;
};

/* That is wrong there.  Returns -EINVAL. */
int reading_complain(struct reading *reading, const config_setting_t *at,
                     const char *fmt, ...)
  __attribute__((format(printf, 3, 4)));

/* What was complained of is wrong there; the command line's words begin with an
 * option's name as it is there.  Returns -EINVAL. */
int reading_blame(struct reading *reading, const config_setting_t *at);

/* FILE:LINE; a copy that lives as long as the options.  NULL: memory is
 * short. */
const char *reading_place(struct reading *reading,
                          const config_setting_t *setting);

/* A string or a number; a copy that lives as long as the options.  NULL: it is
 * neither, or memory is short. */
const char *reading_value(struct reading *reading,
                          const config_setting_t *setting);

/* The setting that is called so: 0, or -EINVAL with a complaint. */
int reading_bool(struct reading *reading, const char *name,
                 const config_setting_t *setting, bool *value);
/* The same; the string lives as long as the options. */
int reading_string(struct reading *reading, const char *name,
                   const config_setting_t *setting, const char **value);

#endif
