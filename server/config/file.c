/* SPDX-License-Identifier: BSD-2-Clause */
/* file.c: the configuration file; see file.h. */
#include "config.h"

#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/clients.h"
#include "config/option.h"
#include "config/reading.h"
#include "config/trial.h"

/* Until a file that is read counts as one that hangs. */
#define PATIENCE_MSEC 10000

#define OF_EXPORT "is said of an export: exports = ( { ... } )"
#define OF_LINE "has its place on the command line alone"

/* Options that are no settings of the file. */
static const struct {
  const char *name, *why;
} no_setting[] = {
  { "config", "is not said in a file: @include \"FILE\" reads another one" },
  { "check-config", OF_LINE },
  { "fd", OF_LINE },
  { "help", OF_LINE },
  { "version", OF_LINE },
  { "description", OF_EXPORT },
  { "raw", OF_EXPORT },
  { "tls-only", OF_EXPORT },
};

/* ------------------------------------------------------------------ options */

static int
set_value(struct reading *reading, const struct option *option,
          const config_setting_t *setting)
{
  const char *value = reading_value(reading, setting);

  if (!value)
    return reading_complain(reading, setting,
                            "%s is a string in quotes or a number: %s",
                            option->name, option->argument);
  return option->parse(reading->options, option, value, reading->complaint) < 0
           ? reading_blame(reading, setting)
           : 0;
}

/* One, or several: [ "a", "b" ]. */
static int
set_values(struct reading *reading, const struct option *option,
           const config_setting_t *setting)
{
  if (!config_setting_is_array(setting) && !config_setting_is_list(setting))
    return set_value(reading, option, setting);
  int r = 0;
  for (int i = 0; r == 0 && i < config_setting_length(setting); i++)
    r = set_value(reading, option,
                  config_setting_get_elem(setting, (unsigned)i));
  return r;
}

/* False is what holds if nothing is said. */
static int
set_flag(struct reading *reading, const struct option *option,
         const config_setting_t *setting)
{
  bool value = false;
  int r = reading_bool(reading, option->name, setting, &value);

  return r == 0 && value
           ? option->parse(reading->options, option, NULL, reading->complaint)
           : r;
}

/* ------------------------------------------------------------------ exports */

static int
set_of_export(struct reading *reading, const config_setting_t *setting,
              struct options_export *export, const char **export_name)
{
  const char *name = config_setting_name(setting);

  return strcmp(name, "name") == 0
           ? reading_string(reading, name, setting, export_name)
         : strcmp(name, "image") == 0
           ? reading_string(reading, name, setting, &export->path)
         : strcmp(name, "description") == 0
           ? reading_string(reading, name, setting, &export->description)
         : strcmp(name, "raw") == 0
           ? reading_bool(reading, name, setting, &export->raw)
         : strcmp(name, "readonly") == 0
           ? reading_bool(reading, name, setting, &export->readonly)
         : strcmp(name, "tls-only") == 0
           ? reading_bool(reading, name, setting, &export->tls_only)
           : reading_complain(
               reading, setting,
               "an export has no setting '%s', but name, image, "
               "description, raw, readonly and tls-only",
               name);
}

/* { name = "..."; image = "..."; } */
static int
add_export(struct reading *reading, const config_setting_t *setting)
{
  struct options_export export = { .where = reading_place(reading, setting) };
  const char *name = NULL;
  int r = 0;

  if (!config_setting_is_group(setting))
    return reading_complain(reading, setting,
                            "an export is written { name = "
                            "\"NAME\"; image = \"FILE\"; }");
  for (int i = 0; r == 0 && i < config_setting_length(setting); i++)
    r = set_of_export(reading, config_setting_get_elem(setting, (unsigned)i),
                      &export, &name);
  if (r < 0)
    return r;
  if (!name || !export.path)
    return reading_complain(reading, setting, "the export%s%s has no %s",
                            name ? " " : "", name ? name : "",
                            name ? "image" : "name");
  if (strpbrk(name, "/=") != NULL)
    return reading_complain(reading, setting,
                            "'%s' is no name of an export: it "
                            "has a slash or an equal sign",
                            name);
  return options_append_export(reading->options, &export, name,
                               reading->complaint) < 0
           ? reading_blame(reading, setting)
           : 0;
}

static int
add_exports(struct reading *reading, const config_setting_t *setting)
{
  int r = 0;

  if (!config_setting_is_list(setting))
    return reading_complain(reading, setting,
                            "exports are written ( { ... }, { ... } )");
  for (int i = 0; r == 0 && i < config_setting_length(setting); i++)
    r = add_export(reading, config_setting_get_elem(setting, (unsigned)i));
  return r;
}

static int
add_folder(struct reading *reading, const config_setting_t *setting)
{
  struct options_export folder = { .where = reading_place(reading, setting) };
  int r = reading_string(reading, "folder", setting, &folder.path);

  if (r == 0 && options_append_export(reading->options, &folder, NULL,
                                      reading->complaint) < 0)
    r = reading_blame(reading, setting);
  return r;
}

/* ---------------------------------------------------------------- the whole */

/* NULL: it may be set. */
static const char *
why_no_setting(const char *name)
{
  for (size_t i = 0; i < sizeof no_setting / sizeof *no_setting; i++)
    if (strcmp(no_setting[i].name, name) == 0)
      return no_setting[i].why;
  return NULL;
}

static int
set(struct reading *reading, const config_setting_t *setting)
{
  const char *name = config_setting_name(setting);
  const struct option *option = option_find(name, strlen(name));

  if (strcmp(name, "exports") == 0)
    return add_exports(reading, setting);
  if (strcmp(name, "folder") == 0)
    return add_folder(reading, setting);
  if (strcmp(name, "clients") == 0)
    return clients_add(reading, setting);
  if (!option)
    return reading_complain(reading, setting,
                            "no setting is called '%s'; see vhdkitd.conf(5)",
                            name);
  const char *why = why_no_setting(name);
  return why ? reading_complain(reading, setting, "%s %s", name, why)
         : !option->argument            ? set_flag(reading, option, setting)
         : option_is_repeatable(option) ? set_values(reading, option, setting)
                                        : set_value(reading, option, setting);
}

static int
set_all(struct reading *reading, const config_setting_t *root)
{
  int r = 0;

  for (int i = 0; r == 0 && i < config_setting_length(root); i++)
    r = set(reading, config_setting_get_elem(root, (unsigned)i));
  return r;
}

/* libconfig tells not why it cannot read a file. */
static int
check_file(const char *path, struct complaint *complaint)
{
  struct stat st;
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  const int sys = fd < 0 || fstat(fd, &st) < 0 ? errno
                  : S_ISDIR(st.st_mode)        ? EISDIR
                  : S_ISREG(st.st_mode)        ? 0
                                               : EINVAL;

  if (fd >= 0)
    close(fd);
  return sys == 0
           ? 0
           : complain(complaint, "--config %s: %s", path,
                      sys == EINVAL ? "it is no regular file" : strerror(sys));
}

static int
parse(config_t *config, const char *path, struct complaint *complaint)
{
  char *copy = strdup(path);

  if (!copy)
    return complain(complaint, "out of memory");
  config_set_include_dir(config, dirname(copy));
  free(copy);
  if (config_read_file(config, path) == CONFIG_TRUE)
    return 0;
  const char *file = config_error_file(config);
  return complain(complaint, "%s:%d: %s", file ? file : path,
                  config_error_line(config), config_error_text(config));
}

static void
parse_in_vain(void *opaque)
{
  const char *path = opaque;
  char text[256];
  struct complaint complaint = { text, sizeof text };
  config_t config;

  config_init(&config);
  parse(&config, path, &complaint);
}

/* libconfig ends the process where it cannot read on: in a folder that is
 * included, say, or where the disk fails.  And it waits for what it includes,
 * be it a FIFO.  Upon a reload, that would take all clients along. */
static int
try_to_parse(const char *path, struct complaint *complaint)
{
  const int r =
    trial_run(parse_in_vain, (void *)(uintptr_t)path, PATIENCE_MSEC);

  return r == 0 ? 0
         : r == -ETIMEDOUT || r == -ECANCELED
           ? complain(complaint, "%s: %s", path,
                      r == -ETIMEDOUT
                        ? "it takes too long to read it, or what it includes"
                        : "it cannot be read to its end, or what it includes "
                          "is no regular file")
           : complain(complaint, "%s: %s", path, strerror(-r));
}

int
options_read_file(struct options *opt, const char *path,
                  struct complaint *complaint)
{
  struct reading reading = {
    .path = path,
    .options = opt,
    .complaint = complaint,
  };
  config_t config;

  int r = check_file(path, complaint);
  if (r == 0)
    r = try_to_parse(path, complaint);
  if (r < 0)
    return r;
  config_init(&config);
  r = parse(&config, path, complaint);
  if (r == 0)
    r = set_all(&reading, config_root_setting(&config));
  config_destroy(&config);
  return r;
}
