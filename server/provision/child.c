/* SPDX-License-Identifier: BSD-2-Clause */
/* child.c: see child.h.
 *
 * A new child has its name when it is whole and durable, as the library makes
 * it.  One that replaces another is made whole beside it, under a name that no
 * client's file has, and renamed over it, while the old one is held so that
 * nobody else opens it. */
#include "config.h"

#include "provision/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "provision/client_id.h"
#include "provision/disk_folder.h"
#include "provision/disk_name.h"
#include "provision/provision_config.h"

#define SUFFIX ".vhd"
/* What is made is called so, before the client's name. */
#define NEW ".new-"

static int
fits(int n, size_t size)
{
  return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

static int
path_of(const struct provision_config *config, const char *disk,
        const char *prefix, const char *client, char *path, size_t size)
{
  if (!disk_name_is_disk(disk) || !client_id_is_file(client))
    return -EINVAL;
  return fits(snprintf(path, size, "%s/%s/%s%s" SUFFIX, config->children, disk,
                       prefix, client),
              size);
}

int
child_path(const struct provision_config *config, const char *disk,
           const char *client, char *path, size_t size)
{
  return path_of(config, disk, "", client, path, size);
}

/* The names that were given are those of a child, whose path that is. */
static int
find_path(const struct provision_config *config, const char *disk,
          const char *client, char path[PATH_MAX], struct vhd_error *err)
{
  return child_path(config, disk, client, path, PATH_MAX) == 0
           ? 0
           : fail_argument(err, "'%s/%s' is no client of a disk", disk,
                           client);
}

/* ------------------------------------------------------------------- making */

static int
sync_folder(const char *path)
{
  const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;

  if (fd >= 0)
    close(fd);
  return r;
}

/* The folder of the disk's children, open for a sync. */
static int
open_folder(const struct provision_config *config, const char *disk, bool make,
            struct vhd_error *err)
{
  char path[PATH_MAX];
  int r = fits(snprintf(path, sizeof path, "%s/%s", config->children, disk),
               sizeof path);

  if (r < 0)
    return fail_system(err, -r, "%s", config->children);
  if (make && mkdir(path, 0750) == 0)
    r = sync_folder(config->children);
  else if (make && errno != EEXIST)
    return errno == ENOENT
             ? fail_state(
                 err, ENOENT,
                 "%s is not there: make this folder, in which clients "
                 "get their children, or name another one with "
                 "--children",
                 config->children)
             : fail_system(err, errno, "%s", path);
  const int fd = r < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? fail_system(err, r < 0 ? -r : errno, "%s", path) : fd;
}

static int
check_reserve(const struct provision_config *config, int folder,
              struct vhd_error *err)
{
  struct statvfs fs;

  if (config->reserve == 0)
    return 0;
  if (fstatvfs(folder, &fs) < 0)
    return fail_system(err, errno, "%s", config->children);
  const uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
  return free_bytes >= config->reserve
           ? 0
           : fail_state(err, ENOSPC,
                        "%s has %" PRIu64 " bytes free, and %" PRIu64
                        " are reserved for those who run: free some space, or "
                        "say a smaller --reserve",
                        config->children, free_bytes, config->reserve);
}

static int
create(const struct provision_config *config, const char *path,
       const char *parent, struct vhd_error *err)
{
  const struct vhd_create_options options = {
    .parent = parent,
    .roots = &config->disks,
    .nroots = 1,
  };

  return vhd_create(path, &options, err);
}

static int
find_version(const struct provision_config *config, const char *disk,
             const char *version, char parent[PATH_MAX], struct vhd_error *err)
{
  unsigned number, open = 0;
  const int r = disk_folder_version_for(config->disks, disk, version, parent,
                                        PATH_MAX, &number);

  if (r < 0)
    return fail_state(err, -r, "the disk '%s' has no version '%s'", disk,
                      version);
  disk_folder_number(config->disks, disk, DISK_MAINTENANCE, &open);
  return number == open
           ? fail_state(err, EBUSY,
                        "version %u of '%s' is in maintenance: it is written "
                        "to, and can have no children",
                        number, disk)
           : 0;
}

/* How a child is made, in the folder that is open, of a parent that cannot go
 * meanwhile. */
typedef int making(const struct provision_config *config, const char *disk,
                   const char *client, int folder, const char *parent,
                   struct vhd_error *err);

static int
make(const struct provision_config *config, const char *disk,
     const char *client, const char *version, making *how,
     struct vhd_error *err)
{
  char parent[PATH_MAX];
  const int lock = disk_folder_lock(config->disks, disk, true, err);

  if (lock < 0)
    return lock;
  const int folder = open_folder(config, disk, true, err);
  int r = folder < 0 ? folder : check_reserve(config, folder, err);
  if (r == 0)
    r = find_version(config, disk, version, parent, err);
  if (r == 0)
    r = how(config, disk, client, folder, parent, err);
  if (folder >= 0)
    close(folder);
  close(lock);
  return r;
}

/* Two who come at the same time get the same one. */
static int
make_new(const struct provision_config *config, const char *disk,
         const char *client, int folder, const char *parent,
         struct vhd_error *err)
{
  char path[PATH_MAX];
  struct stat st;

  (void)folder;
  int r = find_path(config, disk, client, path, err);
  if (r < 0)
    return r;
  r = create(config, path, parent, err);
  return r < 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode) ? 0 : r;
}

/* ---------------------------------------------------------------- replacing */

/* Opened so that nobody else can, whatever it holds. */
static int
hold(const char *path, struct vhd_image **image, struct vhd_error *err)
{
  const struct vhd_open_options options = { .flags = VHD_OPEN_RAW };

  return vhd_open(path, &options, image, err);
}

static bool
is_there(const char *path)
{
  struct stat st;

  return lstat(path, &st) == 0;
}

static int
replace(const struct provision_config *config, const char *disk,
        const char *client, int folder, const char *parent,
        struct vhd_error *err)
{
  char path[PATH_MAX], new[PATH_MAX];
  struct vhd_image *old = NULL;

  int r = find_path(config, disk, client, path, err);
  if (r < 0)
    return r;
  if (!is_there(path))
    return make_new(config, disk, client, folder, parent, err);
  if (path_of(config, disk, NEW, client, new, sizeof new) < 0)
    return fail_argument(err, "%s: the path is too long", path);
  r = hold(path, &old, err);
  if (r < 0)
    return r;
  /* Somebody who was killed may have left one. */
  unlink(new);
  r = create(config, new, parent, err);
  if (r == 0 && (rename(new, path) < 0 || fsync(folder) < 0))
    r = fail_system(err, errno, "%s", path);
  if (r < 0)
    unlink(new);
  vhd_close(old, NULL);
  return r;
}

int
child_make(const struct provision_config *config, const char *disk,
           const char *client, const char *version, struct vhd_error *err)
{
  char path[PATH_MAX];
  const int r = find_path(config, disk, client, path, err);

  return r < 0            ? r
         : is_there(path) ? 0
                          : make(config, disk, client, version, make_new, err);
}

int
child_discard(const struct provision_config *config, const char *disk,
              const char *client, const char *version, struct vhd_error *err)
{
  return make(config, disk, client, version, replace, err);
}

int
child_remove(const struct provision_config *config, const char *disk,
             const char *client, struct vhd_error *err)
{
  char path[PATH_MAX];
  struct vhd_image *old = NULL;
  int r = find_path(config, disk, client, path, err);

  if (r < 0)
    return r;
  if (!is_there(path))
    return 0;
  const int folder = open_folder(config, disk, false, err);
  if (folder < 0)
    return folder;
  r = hold(path, &old, err);
  if (r == 0 && (unlink(path) < 0 || fsync(folder) < 0))
    r = fail_system(err, errno, "%s", path);
  vhd_close(old, NULL);
  close(folder);
  return r;
}

/* ------------------------------------------------------------------ looking */

static void
fill(struct child *child, const char *path, const struct stat *st,
     const struct disk_folder *folder)
{
  const struct vhd_open_options options = {
    .flags = VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED | VHD_OPEN_NO_PARENT,
  };
  struct vhd_image *image;
  struct vhd_info info;

  child->file_size = (uint64_t)st->st_size;
  child->actual_size = (uint64_t)st->st_blocks * 512;
  child->used = st->st_mtim.tv_sec;
  if (vhd_open(path, &options, &image, NULL) < 0)
    return;
  vhd_get_info(image, &info);
  child->sound = info.type == VHD_DIFFERENCING;
  snprintf(child->id, sizeof child->id, "%s", info.id_text);
  snprintf(child->parent_id, sizeof child->parent_id, "%s",
           info.parent_id_text);
  vhd_close(image, NULL);
  const struct disk_version *version =
    folder ? disk_folder_find_id(folder, child->parent_id) : NULL;
  child->version = version ? version->number : 0;
}

bool
child_is_version(const struct child *child, const struct disk_version *version)
{
  return strcmp(child->id, version->id) == 0 &&
         child->used == version->changed;
}

/* What became a version is no child any more, though its file is still there:
 * somebody was killed who would have removed it. */
static bool
is_applied(const struct child *child, const struct disk_folder *folder)
{
  const struct disk_version *same =
    folder ? disk_folder_find_id(folder, child->id) : NULL;

  return same && child_is_version(child, same);
}

int
child_look(const struct provision_config *config, const char *disk,
           const char *client, const struct disk_folder *folder,
           struct child *child)
{
  char path[PATH_MAX];
  struct stat st;

  *child = (struct child){ .version = 0 };
  const int r = child_path(config, disk, client, path, sizeof path);
  if (r < 0)
    return r;
  snprintf(child->client, sizeof child->client, "%s", client);
  if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
    return -ENOENT;
  fill(child, path, &st, folder);
  return is_applied(child, folder) ? -ENOENT : 0;
}

/* Is it the file of a client? */
static bool
take_client(const char *name, char client[CLIENT_FILE_MAX + 1])
{
  const size_t len = strlen(name), suffix = strlen(SUFFIX);

  if (len <= suffix || len - suffix > CLIENT_FILE_MAX ||
      strcmp(name + len - suffix, SUFFIX) != 0)
    return false;
  memcpy(client, name, len - suffix);
  client[len - suffix] = '\0';
  return client_id_is_file(client);
}

int
child_each(const struct provision_config *config, const char *disk,
           const struct disk_folder *folder,
           int (*visit)(void *opaque, const struct child *child), void *opaque)
{
  char path[PATH_MAX], client[CLIENT_FILE_MAX + 1];
  const struct dirent *entry;
  struct child child;
  int r = 0;

  if (!disk_name_is_disk(disk) ||
      fits(snprintf(path, sizeof path, "%s/%s", config->children, disk),
           sizeof path) < 0)
    return -EINVAL;
  DIR *dir = opendir(path);
  if (!dir)
    return errno == ENOENT ? 0 : -errno;
  for (errno = 0; r == 0 && (entry = readdir(dir)) != NULL; errno = 0)
    if (take_client(entry->d_name, client) &&
        child_look(config, disk, client, folder, &child) == 0)
      r = visit(opaque, &child);
  if (r == 0)
    r = -errno;
  closedir(dir);
  return r;
}
