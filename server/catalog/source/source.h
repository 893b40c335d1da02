/* SPDX-License-Identifier: BSD-2-Clause */
/* source.h: where exports come from: what is named at start, and the images of
 * a folder.  A source knows names, what is said of them, and where their images
 * lie; it opens none.  Constant after the start; any thread. */
#ifndef SERVER_CATALOG_SOURCE_H
#define SERVER_CATALOG_SOURCE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct server_config;
struct server_export;

/* Who asks for exports: what of them he may see may depend on it. */
struct asker {
  const char *identity; /* as TLS has proved it; NULL: unknown */
  bool tls;
  const struct sockaddr *address; /* NULL: unknown */
  socklen_t address_len;
};

/* What a source says of an export; strings live as long as the catalog. */
struct origin {
  const char *path;        /* NULL: .find tells, each time */
  const char *description; /* or NULL */
  bool readonly, raw, tls_only;
  bool stays; /* opened at start, and open until the end */
};

typedef int source_visit(void *opaque, const char *name,
                         const struct origin *origin);

struct source {
  /* No I/O: might there be an export of that name, which is not told of by
   * .each before there are clients?  NULL: never. */
  bool (*may_have)(const struct server_config *config, const char *name,
                   struct origin *origin);
  /* May block.  The path of the image into path[PATH_MAX]; false: none. */
  bool (*find)(const struct server_config *config, const char *name,
               const struct origin *origin, char *path);
  /* May block.  Calls visit for each name until it returns not 0, which is then
   * returned; or -errno. */
  int (*each)(const struct server_config *config, source_visit *visit,
              void *opaque);
};

/* The sources that this configuration has, ended by NULL. */
const struct source *const *sources_of(const struct server_config *config);

/* Of the names of the configuration, and what one of them means. */
extern const struct source named_source;
struct origin named_origin(const struct server_config *config,
                           const struct server_export *export);

/* May this asker see such an export? */
bool origin_visible(const struct origin *origin, const struct asker *asker);

/* As opendir(3), by whatever way the process can open at all (vhd_host()). */
DIR *folder_open(const char *path);

#endif
