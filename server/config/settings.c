/* SPDX-License-Identifier: BSD-2-Clause */
/* settings.c: see settings.h. */
#include "config.h"

#include "config/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "config/parcel.h"
#include "config/resolve.h"

enum options_outcome
settings_read(struct settings *settings, int argc, char **argv, char *message,
              size_t size)
{
  *settings = (struct settings){ .argc = argc, .argv = argv };
  return options_parse(&settings->options, argc, argv, message, size);
}

static int
check(const struct options *options, struct vhd_error *err)
{
  struct server_config config;
  const int r = resolve_config(options, &config, err);

  resolve_config_free(&config);
  return r;
}

int
settings_check(const struct settings *settings, struct vhd_error *err)
{
  return check(&settings->options, err);
}

/* ------------------------------------------------------------------- again */

/* The folder that is all that is served, or NULL. */
static const char *
folder_of(const struct options *options)
{
  const struct options_export *only = options->exports;
  struct stat st;

  return options->nexports == 1 && !only->name && !only->raw &&
             stat(only->path, &st) == 0 && S_ISDIR(st.st_mode)
           ? only->path
           : NULL;
}

/* What takes a start. */
static void
log_unchanged(const struct settings *settings, const struct options *now)
{
  const char *file = settings->options.config;
  const char *before = folder_of(&settings->options), *after = folder_of(now);
  char names[512];

  if (options_compare(&settings->options, now, names, sizeof names) > 0)
    log_warning("%s: what it says of %s takes effect at the next start", file,
                names);
  if (before != after && (!before || !after || strcmp(before, after) != 0))
    log_warning("%s: that another folder is served, or a folder no more, "
                "takes effect at the next start",
                file);
}

/* Takes over what was read. */
static void
adopt(struct settings *settings, const struct options *now)
{
  if (settings->again) {
    options_free(&settings->reread);
  } else {
    settings->first = settings->options.exports;
    settings->nfirst = settings->options.nexports;
  }
  settings->options.exports = now->exports;
  settings->options.nexports = now->nexports;
  settings->reread = *now;
  settings->again = true;
}

/* Likewise, or frees it. */
static int
adopt_exports(struct settings *settings, struct options *now, int *parcel,
              char *message, size_t size)
{
  int r = 0;

  log_unchanged(settings, now);
  if (!folder_of(&settings->options) && !folder_of(now)) {
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
  struct vhd_error err;

  *parcel = -1;
  message[0] = '\0';
  if (!settings->options.config)
    return 0;
  if (options_parse(&now, settings->argc, settings->argv, message, size) ==
      OPTIONS_RUN) {
    if (check(&now, &err) == 0)
      return adopt_exports(settings, &now, parcel, message, size);
    snprintf(message, size, "%s: %s", settings->options.config, err.message);
  }
  options_free(&now);
  return -EINVAL;
}

void
settings_free(struct settings *settings)
{
  if (settings->again) {
    settings->options.exports = settings->first;
    settings->options.nexports = settings->nfirst;
    options_free(&settings->reread);
  }
  options_free(&settings->options);
}
