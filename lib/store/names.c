/* SPDX-License-Identifier: BSD-2-Clause */
/* names.c: see names.h. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/rules.h"
#include "store/folder.h"
#include "store/local.h"
#include "store/names.h"

/* Some file systems do not sync folders: nothing to wait for there. */
static int
sync_folder_of(const char *path)
{
  CLEANUP_FREE char *name = folder_of(path);
  CLEANUP_CLOSE int folder =
    name ? open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

  if (folder < 0)
    return name ? -errno : -ENOMEM;
  return fsync(folder) < 0 && errno != EINVAL && errno != EROFS ? -errno : 0;
}

int
names_refuse_link(const char *path, struct vhd_error *err)
{
  struct stat st;

  if (lstat(path, &st) < 0)
    return vhd_fail_sys(err, errno, "%s", path);
  return S_ISREG(st.st_mode)
           ? 0 : vhd_fail(err, VHD_ARGUMENT, EINVAL,
                          "%s: is no regular file; give the name that it "
                          "leads to", path);
}

char *
names_own(struct vhd_file *file)
{
  CLEANUP_FREE char *real = malloc(PATH_MAX);
  struct stat st;

  if (real && lstat(file->path, &st) == 0 && S_ISLNK(st.st_mode) &&
      local_real_path(file, real, PATH_MAX) == 0)
    return STEAL(real);
  return strdup(file->path);
}

/* Two ways to write one name?  Folders may not tell case apart. */
static bool
is_same_name(const char *a, const char *b)
{
  CLEANUP_FREE char *in = folder_of(a);
  CLEANUP_FREE char *other = folder_of(b);

  return strcasecmp(folder_last_name(a), folder_last_name(b)) == 0 &&
         (!in || !other || names_same(in, other));
}

/* Of one and the same file, and no symbolic link? */
static bool
is_second_name(const char *path, const char *name)
{
  struct stat a, b;

  return lstat(path, &a) == 0 && lstat(name, &b) == 0 &&
         a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_nlink > 1 &&
         !is_same_name(path, name);
}

int
names_add(const char *path, const char *name, struct vhd_error *err)
{
  int e = names_refuse_link(path, err);
  if (e < 0)
    return e;
  const bool new = link(path, name) == 0;
  e = new ? 0 : errno;
  if (e != 0 && !(e == EEXIST && is_second_name(path, name))) {
    if (e == EEXIST)
      return vhd_fail(err, VHD_ARGUMENT, EEXIST, "%s: already exists", name);
    if (e == EXDEV)
      return vhd_fail(err, VHD_ARGUMENT, EXDEV,
                      "%s: lies on another file system than '%s'", name, path);
    return vhd_fail_sys(err, e, "%s: cannot become another name of '%s'",
                        name, path);
  }
  int r = RULE(NAME_ADDED) ? sync_folder_of(name) : 0;
  return r < 0 ? vhd_fail_sys(err, -r, "%s: cannot make its name durable",
                              name) : new;
}

int
names_remove(const char *path, struct vhd_error *err)
{
  if (unlink(path) < 0)
    return vhd_fail_sys(err, errno, "%s: cannot be removed", path);
  int r = RULE(NAME_GONE) ? sync_folder_of(path) : 0;
  return r < 0 ? vhd_fail_sys(err, -r, "%s: it is gone, but that cannot be "
                              "made durable", path) : 0;
}

bool
names_same(const char *a, const char *b)
{
  struct stat x, y;

  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
         x.st_ino == y.st_ino;
}
