/* SPDX-License-Identifier: BSD-2-Clause */
/* folder.c: the images of a folder; see source.h. */
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

static struct origin
folder_origin(const struct server_config *config)
{
  return (struct origin){ .readonly = config->readonly };
}

static bool
folder_means(const struct server_config *config, const struct asker *asker,
             const char *name, struct sense *sense)
{
  (void)asker;
  sense->name = name;
  sense->origin = folder_origin(config);
  return name[0] != '\0' && name[0] != '.' && !strchr(name, '/') &&
         strlen(name) <= NAME_MAX - SUFFIX_LEN;
}

static int
folder_find(const struct server_config *config, const char *name,
            const struct origin *origin, enum source_purpose purpose,
            struct found *found, struct vhd_error *err)
{
  static const char *const suffixes[] = { "vhd", "VHD" };

  (void)origin;
  (void)purpose;
  (void)err;
  found->will_be = false;
  for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
    if (snprintf(found->path, PATH_MAX, "%s/%s.%s", config->directory, name,
                 suffixes[i]) < PATH_MAX &&
        access(found->path, F_OK) == 0)
      return 0;
  return -ENOENT;
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

const struct source folder_source = {
  .tag = 'f',
  .means = folder_means,
  .find = folder_find,
  .each = folder_each,
};
