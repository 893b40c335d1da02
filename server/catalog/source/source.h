/* SPDX-License-Identifier: BSD-2-Clause */
/* source.h: where exports come from: what is named at start, disks with a child
 * for each client (disks.c), and the images of a folder.  A source knows what a
 * name means for who asks, what is said of it, and where its image lies; it
 * opens none.  Constant but for what the configuration says of clients of
 * disks, which the catalog's lock guards; any thread. */
#ifndef SERVER_CATALOG_SOURCE_SOURCE_H
#define SERVER_CATALOG_SOURCE_SOURCE_H

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct server_config;
struct server_export;
struct vhd_error;

/* Who asks for exports: what of them he may see may depend on it. */
struct asker {
  const char *identity; /* as TLS has proved it; NULL: unknown */
  const char *issuer;   /* who vouches for it, if it is a certificate's */
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
  bool lone;  /* one client at a time has it, whoever that is */
  bool fresh; /* at each boot of the client's: another image than before */
  bool goes;  /* it is removed when the client has gone for good */
  char version[33]; /* what a new image is made from */
  uint64_t quota;   /* bytes of the image's file; 0: no limit */
};

/* What a name means for somebody. */
struct sense {
  const char *name; /* of all that mean the same; may be in .buf */
  char buf[256];
  struct origin origin;
  const char *why; /* of nothing: words for the log, or NULL */
};

/* Where an image lies. */
struct found {
  char path[PATH_MAX];
  bool will_be; /* it would be made first, for writing, of the one at .path */
};

enum source_purpose {
  SOURCE_LOOKS,
  SOURCE_LOOKS_ANEW, /* at what SOURCE_OPENS_ANEW would find */
  SOURCE_OPENS,
  SOURCE_OPENS_ANEW, /* a boot begins: for origin.fresh */
  SOURCE_REMOVES,    /* what is there goes: for origin.goes */
};

typedef int source_visit(void *opaque, const char *name,
                         const struct origin *origin);

struct source {
  char tag; /* names of different sources are different */
  /* The catalog's lock is held; no I/O: might there be an export of that name
   * for who asks, which is not told of by .each before there are clients?
   * NULL: never. */
  bool (*means)(const struct server_config *config, const struct asker *asker,
                const char *name, struct sense *sense);
  /* May block.  name: as in struct sense, or of .each.  0; -ENOENT: there is
   * none; or -errno with *err. */
  int (*find)(const struct server_config *config, const char *name,
              const struct origin *origin, enum source_purpose purpose,
              struct found *found, struct vhd_error *err);
  /* May block.  Calls visit for each name until it returns not 0, which is then
   * returned; or -errno. */
  int (*each)(const struct server_config *config, source_visit *visit,
              void *opaque);
  /* What .each tells is not for all: .means says for whom. */
  bool differs;
};

/* The sources that this configuration has, ended by NULL. */
const struct source *const *sources_of(const struct server_config *config);

/* Of the names of the configuration, and what one of them means. */
extern const struct source named_source;
struct origin named_origin(const struct server_config *config,
                           const struct server_export *export);

/* Of the images in a folder. */
extern const struct source folder_source;
/* Of disks, and their clients' children. */
extern const struct source disks_source;

/* May this asker see such an export? */
bool origin_visible(const struct origin *origin, const struct asker *asker);

/* As opendir(3), by whatever way the process can open at all (vhd_host()). */
DIR *folder_open(const char *path);

#endif
