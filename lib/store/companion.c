/* SPDX-License-Identifier: BSD-2-Clause */
/* companion.c: see companion.h.
 *
 * What a companion says is done to the file by whoever opens that.  So it must
 * come from somebody who could do it himself: root, the file's owner or this
 * user; in a folder of many, as /tmp, anybody can make a file of that name. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "store/companion.h"
#include "store/companion_note.h"
#include "store/folder.h"
#include "store/host.h"

static int
distrust(int image, const char *name, const char *path, const struct stat *st,
         struct vhd_error *err)
{
  struct stat file;
  const char *why = NULL;

  if (!S_ISREG(st->st_mode))
    why = "is no regular file";
  else if (fstat(image, &file) < 0 ||
           (st->st_uid != 0 && st->st_uid != geteuid() &&
            st->st_uid != file.st_uid))
    why = "belongs to neither root nor the image's owner nor this user";
  else if (st->st_mode & 022)
    why = "can be written to by others";
  return why ? vhd_fail(err, VHD_JOURNAL, EACCES,
                        "%s: beside it lies '%s', which looks like what an "
                        "interrupted change of the image left, but %s; if it "
                        "is not that, remove it", name, path, why)
             : 0;
}

/* Hands the descriptor out. */
static int
release(int *fd)
{
  int opened = *fd;

  *fd = -1;
  return opened;
}

static int
open_existing(int image, const char *name, const char *path, bool write,
              struct vhd_error *err)
{
  const int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  struct stat st;

  if (lstat(path, &st) < 0) {
    if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG)
      return vhd_fail_sys(err, errno, "%s", path);
    if (err)
      err->code = VHD_OK;
    return -ENOENT;
  }
  /* Looked at before, because to open some things is to use them. */
  int r = distrust(image, name, path, &st, err);
  if (r < 0)
    return r;
  CLEANUP_CLOSE int fd =
    host_open(AT_FDCWD, path, (write ? O_RDWR : O_RDONLY) | flags, 0);
  if (fd < 0)
    return vhd_fail(err, VHD_JOURNAL, -fd,
                    "%s: a change of this image was interrupted, and what is "
                    "left to do lies in '%s', which cannot be opened: %s",
                    name, path, strerrordesc_np(-fd));
  if (fstat(fd, &st) < 0)
    return vhd_fail_sys(err, errno, "%s: fstat", path);
  r = distrust(image, name, path, &st, err);
  return r < 0 ? r : release(&fd);
}

/* The image's owner is to be able to use it, whoever made the change. */
static int
give_to_owner(int fd, int image)
{
  struct stat st;

  if (fstat(image, &st) < 0)
    return -errno;
  if (st.st_uid != geteuid() && fchown(fd, st.st_uid, st.st_gid) < 0 &&
      errno != EPERM)
    return -errno;
  return fchmod(fd, (st.st_mode & 0644) | 0600) < 0 ? -errno : 0;
}

static int
make(int image, const char *name, const char *path, struct vhd_error *err)
{
  CLEANUP_CLOSE int fd =
    host_open(AT_FDCWD, path,
              O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY, 0600);
  if (fd < 0)
    return vhd_fail_sys(err, -fd, "%s: cannot create '%s', where a change in "
                        "place is written down before it is made", name, path);
  int r = give_to_owner(fd, image);
  if (r == 0)
    return release(&fd);
  host_unlink(AT_FDCWD, path);
  return vhd_fail_sys(err, -r, "%s", path);
}

int
companion_open(int image, const char *name, char *path,
               enum companion_mode mode, struct vhd_error *err)
{
  if (mode != COMPANION_MAKE) {
    companion_note_follow(image, path);
    return open_existing(image, name, path, mode == COMPANION_WRITE, err);
  }
  int fd = make(image, name, path, err);
  if (fd >= 0)
    companion_note_write(image, path);
  return fd;
}

static int
remove_companion(int image, char *path)
{
  companion_note_follow(image, path);
  int r = host_unlink(AT_FDCWD, path);
  if (r == 0)
    companion_note_remove(image);
  return r;
}

int
companion_settle(int image, char *path, bool remove)
{
  if (remove)
    return remove_companion(image, path);
  CLEANUP_FREE char *name = folder_of(path);
  CLEANUP_CLOSE int folder =
    name ? host_open(AT_FDCWD, name, O_RDONLY | O_DIRECTORY, 0) : -ENOMEM;
  if (folder < 0)
    return folder;
  /* Some file systems do not sync folders: nothing to wait for there. */
  return fsync(folder) < 0 && errno != EINVAL && errno != EROFS ? -errno : 0;
}
