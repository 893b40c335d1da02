/* SPDX-License-Identifier: BSD-2-Clause */
/* source.c: see source.h. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "catalog/source/source.h"
#include "config/server_config.h"
#include "vhdkit.h"

#define SUFFIX_LEN 4 /* ".vhd" */

/* ------------------------------------------------------------------- named */

static bool
named_find(const struct server_config *config, const char *name,
           const struct origin *origin, char *path)
{
  (void)config;
  (void)name;
  return snprintf(path, PATH_MAX, "%s", origin->path) < PATH_MAX;
}

struct origin
named_origin(const struct server_config *config,
             const struct server_export *export)
{
  return (struct origin){
    .path = export->path,
    .description = export->description,
    .readonly = export->readonly || config->readonly,
    .raw = export->raw,
    .tls_only = export->tls_only,
    .stays = true,
  };
}

static int
named_each(const struct server_config *config, source_visit *visit,
           void *opaque)
{
  int r = 0;

  for (size_t i = 0; i < config->nexports && r == 0; i++) {
    const struct origin origin = named_origin(config, &config->exports[i]);
    r = visit(opaque, config->exports[i].name, &origin);
  }
  return r;
}

const struct source named_source = {
  .find = named_find,
  .each = named_each,
};

/* ------------------------------------------------------------------ folder */

static struct origin
folder_origin(const struct server_config *config)
{
  return (struct origin){ .readonly = config->readonly };
}

static bool
folder_may_have(const struct server_config *config, const char *name,
                struct origin *origin)
{
  *origin = folder_origin(config);
  return name[0] != '\0' && name[0] != '.' && !strchr(name, '/') &&
         strlen(name) <= NAME_MAX - SUFFIX_LEN;
}

static bool
folder_find(const struct server_config *config, const char *name,
            const struct origin *origin, char *path)
{
  static const char *const suffixes[] = { "vhd", "VHD" };

  (void)origin;
  for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
    if (snprintf(path, PATH_MAX, "%s/%s.%s", config->directory, name,
                 suffixes[i]) < PATH_MAX &&
        access(path, F_OK) == 0)
      return true;
  return false;
}

static bool
is_image_name(const char *name, size_t len)
{
  return len > SUFFIX_LEN && name[0] != '.' &&
         strcasecmp(name + len - SUFFIX_LEN, ".vhd") == 0;
}

DIR *
folder_open(const char *path)
{
  const struct vhd_host *host = vhd_host();
  const int fd =
    host->open(host->opaque, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);

  if (fd < 0)
    errno = -fd;
  else if (!dir)
    close(fd);
  return dir;
}

static int
folder_each(const struct server_config *config, source_visit *visit,
            void *opaque)
{
  const struct origin origin = folder_origin(config);
  DIR *dir = folder_open(config->directory);
  struct dirent *d;
  int r = 0;

  if (!dir)
    return -errno;
  while (r == 0 && (d = readdir(dir)) != NULL) {
    const size_t len = strlen(d->d_name);
    if (!is_image_name(d->d_name, len))
      continue;
    d->d_name[len - SUFFIX_LEN] = '\0';
    r = visit(opaque, d->d_name, &origin);
  }
  closedir(dir);
  return r;
}

static const struct source folder = {
  .may_have = folder_may_have,
  .find = folder_find,
  .each = folder_each,
};

/* --------------------------------------------------------------------- all */

const struct source *const *
sources_of(const struct server_config *config)
{
  static const struct source *const by_name[] = { &named_source, NULL };
  static const struct source *const by_folder[] = { &named_source, &folder,
                                                    NULL };

  return config->directory ? by_folder : by_name;
}

bool
origin_visible(const struct origin *origin, const struct asker *asker)
{
  return asker->tls || !origin->tls_only;
}
