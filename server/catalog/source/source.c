/* SPDX-License-Identifier: BSD-2-Clause */
/* source.c: see source.h. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "catalog/source/source.h"
#include "config/server_config.h"

/* ------------------------------------------------------------------- named */

static int
named_find(const struct server_config *config, const char *name,
           const struct origin *origin, enum source_purpose purpose,
           struct found *found, struct vhd_error *err)
{
  (void)config;
  (void)name;
  (void)purpose;
  (void)err;
  found->will_be = false;
  return snprintf(found->path, PATH_MAX, "%s", origin->path) < PATH_MAX
           ? 0
           : -ENOENT;
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
  .tag = 'n',
  .find = named_find,
  .each = named_each,
};

/* --------------------------------------------------------------------- all */

const struct source *const *
sources_of(const struct server_config *config)
{
  static const struct source *const by_name[] = { &named_source, NULL };
  static const struct source *const by_folder[] = { &named_source,
                                                    &folder_source, NULL };
  static const struct source *const by_disk[] = { &named_source, &disks_source,
                                                  NULL };
  static const struct source *const by_both[] = { &named_source, &disks_source,
                                                  &folder_source, NULL };

  return config->provision.disks ? config->directory ? by_both : by_disk
         : config->directory     ? by_folder
                                 : by_name;
}

bool
origin_visible(const struct origin *origin, const struct asker *asker)
{
  return asker->tls || !origin->tls_only;
}
