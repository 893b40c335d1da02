/* SPDX-License-Identifier: BSD-2-Clause */
/* settings.c: see settings.h. */
#include "config.h"

#include "config/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "config/parcel.h"
#include "config/resolve.h"

enum options_outcome
settings_read(struct settings *settings, int argc, char **argv, char *message,
              size_t size)
{
  *settings = (struct settings){ .argc = argc, .argv = argv };
  return options_parse(&settings->options, argc, argv, message, size);
}

int
settings_check(const struct settings *settings, struct vhd_error *err)
{
  struct server_config config;
  const int r = resolve_config(&settings->options, &config, err);

  resolve_config_free(&config);
  return r;
}

/* ------------------------------------------------------------------- again */

/* What is all that is served, and has no name: a folder, or a lone image; NULL:
 * exports have names.  Which of the two it is would have to be asked of a disk,
 * and that may hang. */
static const char *
nameless_of(const struct options *options)
{
  return options->nexports == 1 && !options->exports->name
           ? options->exports->path
           : NULL;
}

/* What takes a start. */
static void
tell_unchanged(const struct settings *settings, const struct options *now,
               char *message, size_t size)
{
  const char *file = settings->options.config;
  const char *before = nameless_of(&settings->options);
  const char *after = nameless_of(now);
  char names[512];

  if (options_compare(&settings->options, now, names, sizeof names) > 0)
    snprintf(message, size,
             "%s: what it says of %s takes effect at the next start", file,
             names);
  if (message[0] != '\0')
    log_warning("%s", message);
  if (text_same(before, after))
    return;
  snprintf(message, size,
           "%s: that another folder is served, or a folder no more, "
           "takes effect at the next start",
           file);
  log_warning("%s", message);
}

/* Takes over what was read.  The former exports and rules go into it, to be
 * freed with the strings of the next one. */
static void
adopt(struct settings *settings, struct options *now)
{
  const struct options former = settings->options;
  struct provision_config *provision = &settings->options.provision;

  settings->options.exports = now->exports;
  settings->options.nexports = now->nexports;
  *provision = now->provision;
  provision->disks = former.provision.disks;
  provision->children = former.provision.children;
  now->exports = former.exports;
  now->nexports = former.nexports;
  now->provision = former.provision;
  options_free(&settings->reread);
  settings->reread = *now;
}

/* Likewise, or frees it. */
static int
adopt_exports(struct settings *settings, struct options *now, int *parcel,
              char *message, size_t size)
{
  int r = 0;

  tell_unchanged(settings, now, message, size);
  if (!nameless_of(&settings->options) && !nameless_of(now)) {
    *parcel = parcel_pack(now);
    if (*parcel >= 0) {
      adopt(settings, now);
      return 0;
    }
    r = *parcel;
    *parcel = -1;
    snprintf(message, size, "%s: %s", settings->options.config, strerror(-r));
  }
  options_free(now);
  return r;
}

int
settings_reread(struct settings *settings, int *parcel, char *message,
                size_t size)
{
  struct options now;

  *parcel = -1;
  message[0] = '\0';
  if (!settings->options.config)
    return 0;
  if (options_parse(&now, settings->argc, settings->argv, message, size) ==
      OPTIONS_RUN)
    return adopt_exports(settings, &now, parcel, message, size);
  options_free(&now);
  return -EINVAL;
}

void
settings_free(struct settings *settings)
{
  options_free(&settings->options);
  options_free(&settings->reread);
}
