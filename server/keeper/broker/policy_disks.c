/* SPDX-License-Identifier: BSD-2-Clause */
/* policy_disks.c: see policy_disks.h. */
#include "config.h"

#include "keeper/broker/policy_disks.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "keeper/broker/place.h"
#include "provision/client_id.h"
#include "provision/disk_name.h"
#include "provision/provision_config.h"

#define SUFFIX ".vhd"
#define SUFFIX_LEN (sizeof SUFFIX - 1)

static bool
is_within(const char *cwd, const char *place, const char *folder, bool look_up)
{
  return folder && (look_up ? place_is_within_named(place, folder)
                            : place_is_plainly_within(cwd, place, folder,
                                                      strlen(folder)));
}

static bool
is_folder(const char *place)
{
  struct stat st;

  return lstat(place, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The last name of the place, and that of the folder that it is in, without
 * .vhd.  False: it is called otherwise. */
static bool
split(const char *place, char disk[NAME_MAX + 1], char name[NAME_MAX + 1])
{
  const char *slash = strrchr(place, '/');
  const char *folder = slash > place ? memrchr(place, '/', slash - place)
                                     : NULL;
  const size_t len = slash ? strlen(slash + 1) : 0;

  if (!folder || len <= SUFFIX_LEN || len > NAME_MAX ||
      slash - folder - 1 > NAME_MAX ||
      strcmp(slash + 1 + len - SUFFIX_LEN, SUFFIX) != 0)
    return false;
  snprintf(disk, NAME_MAX + 1, "%.*s", (int)(slash - folder - 1), folder + 1);
  snprintf(name, NAME_MAX + 1, "%.*s", (int)(len - SUFFIX_LEN), slash + 1);
  return true;
}

/* Does that link beside the version mean it? */
static bool
means(const char *place, const char *link)
{
  char path[PATH_MAX], real[PATH_MAX];
  const int folder = (int)(strrchr(place, '/') - place);

  return snprintf(path, sizeof path, "%.*s/%s", folder, place, link) <
           (int)sizeof path &&
         realpath(path, real) && strcmp(real, place) == 0;
}

/* What was ever given to clients is not written any more. */
static enum disks_right
right_to_version(const char *place, const char *name)
{
  return disk_name_number(name) != 0 && means(place, DISK_MAINTENANCE) &&
             !means(place, DISK_PRODUCTION) && !means(place, DISK_TEST)
           ? DISKS_WRITE
           : DISKS_READ;
}

bool
policy_disks(const struct provision_config *config, const char *cwd,
             const char *place, bool look_up, enum disks_right *right)
{
  char disk[NAME_MAX + 1], name[NAME_MAX + 1];
  const bool child = is_within(cwd, place, config->children, look_up);

  if (!child && !is_within(cwd, place, config->disks, look_up))
    return false;
  *right = is_folder(place) ? DISKS_NAMES
           : !split(place, disk, name) || !disk_name_is_disk(disk) ? DISKS_NONE
           : !child                  ? right_to_version(place, name)
           : client_id_is_file(name) ? DISKS_WRITE
                                     : DISKS_NONE;
  return true;
}
