/* SPDX-License-Identifier: BSD-2-Clause */
/* journal_place.c: see journal_place.h.
 *
 * /dev/shm comes before the user's runtime folder, which goes at log-out: a
 * program that stays behind would lose its journal there. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "store/folder.h"
#include "store/host.h"
#include "store/journal_place.h"
#include "vhdkit.h"

#ifndef BCACHEFS_SUPER_MAGIC
#define BCACHEFS_SUPER_MAGIC 0xca451a4e
#endif
#define JFS_MAGIC 0x3153464a
#define ZFS_MAGIC 0x2fc12fc1

/* Where the journals of all users lie: what begins so in a folder, or what is
 * called so in each that lies there. */
static const struct common {
  const char *folder, *begins, *inside;
} of_all[] = {
  { "/dev/shm", "vhdkit-", "" },
  { "/run/user", "", "/vhdkit" },
};

char *
journal_place(unsigned i)
{
  const char *env;
  char *dir = NULL;
  int n = 0;

  switch (i) {
  case 0:
    env = getenv("VHDKIT_JOURNAL_DIR");
    return strdup(env ? env : "");
  case 1:
    return strdup("/run/vhdkit");
  case 2:
    n = asprintf(&dir, "/dev/shm/vhdkit-%u", (unsigned)geteuid());
    return n < 0 ? NULL : dir;
  case 3:
    env = getenv("XDG_RUNTIME_DIR");
    n = env ? asprintf(&dir, "%s/vhdkit", env) : asprintf(&dir, "%s", "");
    return n < 0 ? NULL : dir;
  default:
    return NULL;
  }
}

bool
journal_place_ours(int folder)
{
  struct stat st;
  struct statfs fs;

  return fstat(folder, &st) == 0 && S_ISDIR(st.st_mode) &&
         st.st_uid == geteuid() && (st.st_mode & 022) == 0 &&
         fstatfs(folder, &fs) == 0 &&
         (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

bool
journal_place_usable(const char *dir)
{
  const int r = access(dir, F_OK) < 0 ? host_mkdir(dir, 0700) : 0;
  if (r < 0 && r != -EEXIST)
    return false;
  CLEANUP_CLOSE int folder =
    host_open(AT_FDCWD, dir, O_PATH | O_DIRECTORY, 0);
  return folder >= 0 && journal_place_ours(folder) &&
         access(dir, W_OK | X_OK) == 0;
}

static int
each_named(const struct common *c, const char *name,
           int (*each)(void *opaque, const char *dir), void *opaque)
{
  char *path;

  if (name[0] == '.' || strncmp(name, c->begins, strlen(c->begins)) != 0)
    return 0;
  if (asprintf(&path, "%s/%s%s", c->folder, name, c->inside) < 0)
    return -ENOMEM;
  int r = each(opaque, path);
  free(path);
  return r;
}

/* A folder that is not there, or that is closed to us, has nothing for us; what
 * cannot be listed for another reason may. */
static int
each_common(const struct common *c,
            int (*each)(void *opaque, const char *dir), void *opaque)
{
  const struct dirent *entry;
  int r = 0;

  DIR *dir = host_opendir(c->folder);
  if (!dir)
    return host_tells(errno) ? 0 : -errno;
  while (r == 0 && (errno = 0, entry = readdir(dir)) != NULL)
    r = each_named(c, entry->d_name, each, opaque);
  if (r == 0 && errno != 0)
    r = -errno;
  closedir(dir);
  return r;
}

int
journal_places_each(int (*each)(void *opaque, const char *dir), void *opaque)
{
  char *own;
  int r = 0;

  for (unsigned i = 0; r == 0 && i < JOURNAL_OWN_PLACES; i++) {
    own = journal_place(i);
    r = !own ? -ENOMEM : *own ? each(opaque, own) : 0;
    free(own);
  }
  for (size_t i = 0; r == 0 && i < sizeof of_all / sizeof *of_all; i++)
    r = each_common(&of_all[i], each, opaque);
  return r;
}

/* ------------------------------------------------ which images may have one */

/* File systems of this machine alone, whose times the kernel keeps.  Elsewhere
 * another machine could change an image without our seeing it. */
static bool
is_local(const struct statfs *fs)
{
  static const unsigned long local[] = {
    EXT4_SUPER_MAGIC,  XFS_SUPER_MAGIC,   BTRFS_SUPER_MAGIC,
    TMPFS_MAGIC,       RAMFS_MAGIC,       F2FS_SUPER_MAGIC,
    OVERLAYFS_SUPER_MAGIC, REISERFS_SUPER_MAGIC, NILFS_SUPER_MAGIC,
    BCACHEFS_SUPER_MAGIC,  JFS_MAGIC,     ZFS_MAGIC,
  };

  for (size_t i = 0; i < sizeof local / sizeof *local; i++)
    if ((unsigned long)fs->f_type == local[i])
      return true;
  return false;
}

/* An overlay whose layers lie on several file systems numbers files as it finds
 * them, and anew after it was mounted again.  It shows: there a file's device
 * is not that of its folder. */
static int
is_steady(const struct vhd_file *file, const struct statfs *fs)
{
  struct stat folder;

  if ((unsigned long)fs->f_type != OVERLAYFS_SUPER_MAGIC)
    return true;
  CLEANUP_FREE char *path = folder_of(file->path);
  if (!path)
    return -ENOMEM;
  return stat(path, &folder) < 0 ? -errno : folder.st_dev == file->dev;
}

int
journal_suits(const struct vhd_file *file, struct statfs *fs)
{
  if (file->fd < 0)
    return 0;
  if (fstatfs(file->fd, fs) < 0)
    return -errno;
  return is_local(fs) ? is_steady(file, fs) : 0;
}

/* ------------------------------------------------------------------- public */

static void
make_one(void)
{
  char *own;
  bool made = false;

  for (unsigned i = 0; !made && i < JOURNAL_OWN_PLACES; i++) {
    own = journal_place(i);
    made = own && *own && journal_place_usable(own);
    free(own);
  }
}

int
vhd_journal_places(bool make,
                   int (*each)(void *opaque, const char *folder),
                   void *opaque)
{
  if (make)
    make_one();
  return journal_places_each(each, opaque);
}
