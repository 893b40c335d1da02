/* SPDX-License-Identifier: BSD-2-Clause */
/* resolve.c: from options to the server's configuration; see resolve.h. */
#include "config.h"

#include "config/resolve.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/descriptors.h"
#include "base/error.h"
#include "base/log.h"

static bool
is_directory(const char *path)
{
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

struct server_export *
resolve_exports(const struct options *opt)
{
  struct server_export *exports = calloc(opt->nexports + 1, sizeof *exports);

  for (size_t i = 0; exports && i < opt->nexports; i++) {
    const struct options_export *from = &opt->exports[i];
    exports[i] = (struct server_export){
      .name = from->name ? from->name : "",
      .path = from->path,
      .description = from->description,
      .tls_only = from->tls_only,
      .raw = from->raw,
      .readonly = opt->readonly || from->readonly,
    };
  }
  return exports;
}

static int
set_exports(const struct options *opt, struct server_config *config,
            struct vhd_error *err)
{
  if (opt->nexports == 1 && !opt->exports[0].name && !opt->exports[0].raw &&
      is_directory(opt->exports[0].path)) {
    if (opt->exports[0].description || opt->exports[0].tls_only) {
      return fail_argument(err,
                           "%s is a directory: --description and "
                           "--tls-only need an export by name, NAME=IMAGE",
                           opt->exports[0].path);
    }
    config->directory = opt->exports[0].path;
    return 0;
  }
  for (size_t i = 0; i < opt->nexports; i++) {
    const struct options_export *from = &opt->exports[i];
    if (from->name && is_directory(from->path)) {
      return fail_argument(err,
                           "%s is a directory: its images have their own "
                           "names; give it alone, without %s=",
                           from->path, from->name);
    }
  }
  config->exports = resolve_exports(opt);
  config->nexports = opt->nexports;
  return config->exports ? 0 : fail_system(err, ENOMEM, "cannot start");
}

static void
set_limits(const struct options *opt, struct server_limits *limits)
{
  descriptors_raise();
  limits->connections = opt->max_connections != 0 ? opt->max_connections
                                                  : descriptors_limit();
  if (opt->max_connections > descriptors_for_clients()) {
    log_warning("--max-connections %u: file descriptors last for %u at most; "
                "raise the limit (ulimit -n, LimitNOFILE=)",
                opt->max_connections, descriptors_for_clients());
  }
  limits->connections_per_address = opt->max_connections_per_address;
  limits->handshake_sec = opt->handshake_timeout;
}

/* A child and its parent, which is the disk's, lie in different folders. */
static int
set_roots_of_disks(struct server_config *config, struct vhd_error *err)
{
  const size_t n = config->open.nroots;

  config->open_disks = config->open;
  if (!config->provision.disks)
    return 0;
  const char **roots = calloc(n + 1, sizeof *roots);
  config->open_disks.roots = roots;
  if (!roots)
    return fail_system(err, ENOMEM, "cannot start");
  for (size_t i = 0; i < n; i++)
    roots[i] = config->open.roots[i];
  roots[n] = config->provision.disks;
  config->open_disks.nroots = n + 1;
  return 0;
}

int
resolve_config(const struct options *opt, struct server_config *config,
               struct vhd_error *err)
{
  static const enum server_io io[] = {
    [OPTIONS_IO_AUTO] = SERVER_IO_AUTO,
    [OPTIONS_IO_URING] = SERVER_IO_URING,
    [OPTIONS_IO_THREADS] = SERVER_IO_THREADS,
  };
  static const enum server_tls tls[] = {
    [OPTIONS_TLS_OFF] = SERVER_TLS_OFF,
    [OPTIONS_TLS_ON] = SERVER_TLS_ON,
    [OPTIONS_TLS_REQUIRE] = SERVER_TLS_REQUIRE,
  };

  *config = (struct server_config){
    .readonly = opt->readonly,
    .threads = opt->threads,
    .io = io[opt->io],
    .open = { .roots = opt->roots.items, .nroots = opt->roots.n },
    .tls = tls[opt->tls],
    .provision = opt->provision,
  };
  if (opt->size_chs)
    config->open.flags |= VHD_OPEN_SIZE_CHS;
  set_limits(opt, &config->limits);
  const int r = set_roots_of_disks(config, err);
  return r < 0 ? r : set_exports(opt, config, err);
}

void
resolve_config_free(struct server_config *config)
{
  free((void *)config->exports);
  config->exports = NULL;
  if (config->open_disks.roots != config->open.roots)
    free((void *)(uintptr_t)config->open_disks.roots);
  config->open_disks.roots = NULL;
}
