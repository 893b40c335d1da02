/* SPDX-License-Identifier: BSD-2-Clause */
/* disks.c: disks, with a child for each client; see source.h, and server/
 * provision for who gets what.
 *
 * What a client asks for by whatever spelling becomes one of these names, which
 * no client says himself, for they have a tag (source.tag):
 *
 *   debian12/FILE      a client's child; FILE: his identity (client_id.h)
 *   debian12@VERSION   a version, by its number or by a link
 *   debian12           in the list: what production means */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "catalog/source/source.h"
#include "config/server_config.h"
#include "provision/child.h"
#include "provision/disk_folder.h"
#include "provision/disk_name.h"
#include "provision/rules.h"

/* ---------------------------------------------------------- what names mean */

/* NULL: none that means a machine. */
static const char *
address_text(const struct asker *asker, char *buf, size_t size)
{
  const struct sockaddr *address = asker->address;
  char scope[16] = "";

  if (address && address->sa_family == AF_INET)
    return inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr,
                     buf, (socklen_t)size);
  if (!address || address->sa_family != AF_INET6)
    return NULL;
  const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
  if (!inet_ntop(AF_INET6, &in6->sin6_addr, buf, (socklen_t)size))
    return NULL;
  if (in6->sin6_scope_id != 0)
    snprintf(scope, sizeof scope, "%%%u", (unsigned)in6->sin6_scope_id);
  strncat(buf, scope, size - strlen(buf) - 1);
  return buf;
}

/* The rest of an identity that begins so; else NULL. */
static const char *
identity_of(const struct asker *asker, const char *prefix)
{
  const size_t n = strlen(prefix);

  return asker->identity && strncmp(asker->identity, prefix, n) == 0
           ? asker->identity + n
           : NULL;
}

static void
describe_child(const struct ruling *ruling, struct sense *sense)
{
  snprintf(sense->buf, sizeof sense->buf, "%s/%s", ruling->disk,
           ruling->client);
  sense->origin = (struct origin){
    .lone = true,
    .fresh = ruling->policy == PROVISION_DISCARD ||
             ruling->policy == PROVISION_THROWAWAY,
    .goes = ruling->policy == PROVISION_THROWAWAY,
    .quota = ruling->quota,
  };
}

static void
describe_version(const struct ruling *ruling, bool writes, struct sense *sense)
{
  snprintf(sense->buf, sizeof sense->buf, "%s@%s", ruling->disk,
           writes ? DISK_MAINTENANCE : ruling->version);
  sense->origin = (struct origin){ .readonly = !writes, .lone = writes };
}

static bool
disks_means(const struct server_config *config, const struct asker *asker,
            const char *name, struct sense *sense)
{
  char address[INET6_ADDRSTRLEN + 16];
  const struct provision_asker who = {
    .certificate = identity_of(asker, "x509:"),
    .issuer = asker->issuer,
    .psk = identity_of(asker, "psk:"),
    .address = address_text(asker, address, sizeof address),
  };
  struct disk_name parsed;
  struct ruling ruling;

  if (disk_name_parse(name, &parsed) < 0)
    return false;
  if (rules_decide(&config->provision, &who, &parsed, &ruling) < 0 ||
      ruling.what == RULING_NOTHING) {
    sense->why = ruling.why;
    return false;
  }
  if (ruling.what == RULING_CHILD && !config->readonly)
    describe_child(&ruling, sense);
  else
    describe_version(&ruling,
                     ruling.what == RULING_MAINTENANCE && !config->readonly,
                     sense);
  memcpy(sense->origin.version, ruling.version, sizeof ruling.version);
  sense->name = sense->buf;
  return true;
}

/* ----------------------------------------------------------- where they lie */

static int
find_version(const struct server_config *config, const char *disk,
             const char *version, struct found *found)
{
  return disk_folder_version_path(config->provision.disks, disk, version,
                                  found->path, sizeof found->path, NULL);
}

static int
find_parent(const struct server_config *config, const char *disk,
            const char *version, struct found *found)
{
  return disk_folder_version_for(config->provision.disks, disk, version,
                                 found->path, sizeof found->path, NULL);
}

/* Who may have the disk, which is there, is told that this is not as it should
 * be; and so is the log. */
static int
find_boot(const struct server_config *config, const char *disk,
          const char *version, struct found *found, struct vhd_error *err)
{
  const int r = find_parent(config, disk, version, found);
  char folder[PATH_MAX];

  if (r != -ENOENT ||
      snprintf(folder, sizeof folder, "%s/%s", config->provision.disks,
               disk) >= (int)sizeof folder ||
      access(folder, F_OK) < 0)
    return r;
  return fail_state(err, ENODATA, "the disk '%s' has no version '%s'", disk,
                    version);
}

static int
make_child(const struct server_config *config, const char *disk,
           const char *client, const char *version, bool fresh,
           struct found *found, struct vhd_error *err)
{
  char path[PATH_MAX];
  const struct server_child child = { disk, client, version, fresh };

  /* A disk that there is not needs no helper to say so. */
  memcpy(path, found->path, sizeof path);
  int r = find_boot(config, disk, version, found, err);
  if (r < 0)
    return r;
  r = config->make_child
        ? config->make_child(config->child_opaque, &child, err)
        : fail_system(err, ENOTSUP, "disk '%s'", disk);
  memcpy(found->path, path, sizeof path);
  return r;
}

static int
remove_child(const struct server_config *config, const char *disk,
             const char *client, struct vhd_error *err)
{
  return config->remove_child
           ? config->remove_child(config->child_opaque, disk, client, err)
           : 0;
}

static int
find_child(const struct server_config *config, const char *disk,
           const char *client, const struct origin *origin,
           enum source_purpose purpose, struct found *found,
           struct vhd_error *err)
{
  const bool anew = purpose == SOURCE_OPENS_ANEW ||
                    purpose == SOURCE_LOOKS_ANEW;
  int r = child_path(&config->provision, disk, client, found->path,
                     sizeof found->path);

  if (r < 0)
    return r;
  if (purpose == SOURCE_REMOVES)
    return remove_child(config, disk, client, err);
  if (!anew && access(found->path, F_OK) == 0)
    return 0;
  if (purpose == SOURCE_OPENS || purpose == SOURCE_OPENS_ANEW)
    return make_child(config, disk, client, origin->version, anew, found, err);
  found->will_be = true;
  return find_boot(config, disk, origin->version, found, err);
}

static int
disks_find(const struct server_config *config, const char *name,
           const struct origin *origin, enum source_purpose purpose,
           struct found *found, struct vhd_error *err)
{
  const size_t n = strcspn(name, "/@");
  char disk[sizeof((struct disk_name *)0)->disk];

  found->will_be = false;
  err->code = VHD_OK;
  if (n >= sizeof disk)
    return -ENOENT;
  memcpy(disk, name, n);
  disk[n] = '\0';
  const int r =
    name[n] == '/'
      ? find_child(config, disk, name + n + 1, origin, purpose, found, err)
      : find_version(config, disk,
                     name[n] == '@' ? name + n + 1 : DISK_PRODUCTION, found);
  if (r == -ENOTDIR)
    return -ENOENT;
  return r < 0 && r != -ENOENT && err->code == VHD_OK
           ? fail_system(err, -r, "disk '%s'", disk)
           : r;
}

/* --------------------------------------------------------------------- list */

static int
disks_each(const struct server_config *config, source_visit *visit,
           void *opaque)
{
  static const struct origin origin = { .readonly = true };
  DIR *dir = folder_open(config->provision.disks);
  const struct dirent *d;
  int r = 0;

  if (!dir)
    return -errno;
  while (r == 0 && (d = readdir(dir)) != NULL)
    if (disk_name_is_disk(d->d_name) && d->d_type != DT_REG)
      r = visit(opaque, d->d_name, &origin);
  closedir(dir);
  return r;
}

const struct source disks_source = {
  .tag = 'd',
  .means = disks_means,
  .find = disks_find,
  .each = disks_each,
  .differs = true,
};
