/* SPDX-License-Identifier: BSD-2-Clause */
/* journal_find.c: looking for the journal that a killed process left, and
 * judging whether it may be believed: see journal_file.h. */
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
#include "base/error.h"
#include "store/host.h"
#include "store/journal_file.h"
#include "store/journal_head.h"
#include "store/journal_note.h"
#include "store/journal_place.h"

/* How long the files of a killed process may take to be closed. */
#define LINGER_MS 2000
#define LINGER_STEP_MS 5
#define MOST (256U << 20) /* no journal is larger */

struct hunt {
  const struct journal_head *want;
  struct vhd_file *file;
  bool unlocked;
  bool named; /* the image's file names this one */
  size_t most; /* bytes in one of another user */
  int result;  /* of what was looked at last: 0 or -errno */
  struct journal_file *jf;
  struct vhd_error *err;
};

/* Whose is it?  Of what cannot be reached, whose is the folder. */
static long
owner_of(const char *path)
{
  CLEANUP_FREE char *dir = strdup(path);
  char *slash = dir ? strrchr(dir, '/') : NULL;
  struct stat st;

  if (lstat(path, &st) == 0)
    return st.st_uid;
  if (slash && slash > dir)
    *slash = '\0';
  return dir && lstat(dir, &st) == 0 ? (long)st.st_uid : -1;
}

static const char strange_owner[] =
  "it belongs to neither root nor the image's owner nor this user";

/* Who could use it, where that depends on the user.  Root does not trust others
 * than distrust() names either: that somebody may write to the image says not
 * that he can get at it. */
static const char *
way_out(const struct hunt *h, long owner, const char *why)
{
  struct stat image;

  if (owner < 0 || (why != strange_owner &&
                    strcmp(why, strerrordesc_np(EACCES)) != 0))
    return "";
  return fstat(h->file->fd, &image) == 0 &&
         (owner == 0 || owner == (long)image.st_uid)
           ? "open the image once as that user or as root, or, "
           : "open the image once as that user (root may not use it "
             "either), or, ";
}

static int
unreadable(const struct hunt *h, const char *path, const char *why)
{
  char owner[40] = "another user";
  long uid = owner_of(path);

  if (h->unlocked)
    return 0;
  if (uid >= 0)
    snprintf(owner, sizeof owner, "user %ld", uid);
  return vhd_fail(h->err, VHD_JOURNAL, EACCES,
                  "%s: a killed program left acknowledged changes of this "
                  "image in the journal '%s' of %s, which cannot be used here "
                  "(%s); %sif those changes are not wanted, remove that file, "
                  "and they are gone", h->file->path, path, owner, why,
                  way_out(h, uid, why));
}

/* Others must not be able to make us believe what they like: the file is one of
 * root, ours or the image's owner, who can change the image anyway. */
static const char *
distrust(const struct hunt *h, const struct stat *st, int fd)
{
  struct stat image;
  struct statfs fs;

  if (!S_ISREG(st->st_mode))
    return "it is no regular file";
  if (fstatfs(fd, &fs) < 0 ||
      (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC))
    return "it does not lie on a tmpfs";
  if (fstat(h->file->fd, &image) < 0 ||
      (st->st_uid != 0 && st->st_uid != geteuid() &&
       st->st_uid != image.st_uid))
    return strange_owner;
  if (st->st_mode & 022)
    return "others may write to it";
  return NULL;
}

/* Whoever has the journal of an image whose lock is ours was killed: the kernel
 * closes its files one after the other. */
static bool
outlives(int fd)
{
  for (unsigned ms = 0; journal_in_use(fd); ms += LINGER_STEP_MS) {
    if (ms >= LINGER_MS)
      return true;
    usleep(LINGER_STEP_MS * 1000);
  }
  return false;
}

static int
read_left(const struct hunt *h, int fd, uint64_t bytes)
{
  struct journal_file *jf = h->jf;

  jf->left = malloc(bytes);
  if (!jf->left)
    return vhd_fail_sys(h->err, ENOMEM, "%s", jf->path);
  ssize_t n = pread(fd, jf->left, bytes, JOURNAL_PAGE);
  if (n < 0 || (uint64_t)n != bytes)
    return unreadable(h, jf->path, "it is cut short");
  jf->left_bytes = bytes;
  jf->found = JOURNAL_LEFT;
  return 0;
}

/* What is in an opened journal, which was `seen` before that? */
static int
examine(const struct hunt *h, int folder, int fd, const struct stat *seen)
{
  struct journal_file *jf = h->jf;
  struct journal_head head;
  struct stat st;

  const char *why = fstat(fd, &st) < 0 || st.st_ino != seen->st_ino ||
                    journal_pin(&jf->pin, folder, &st) < 0
                      ? "it was exchanged" : distrust(h, &st, fd);
  enum journal_version version =
    why ? JOURNAL_NO_VERSION : journal_head_read(fd, &head);
  if (!why && version == JOURNAL_NO_VERSION)
    why = "it is no journal";
  if (why)
    return h->named ? unreadable(h, jf->path, why) : 0;
  if (version != JOURNAL_VERSION)
    return unreadable(h, jf->path, "it is of another version of vhdkit, which "
                      "must open the image once");
  int same = journal_head_same_file(&head, h->want)
               ? journal_head_same_place(&head, h->want) : 0;
  if (same < 0)
    return unreadable(h, jf->path, "whether it is this file's cannot be told: "
                      "what is mounted on the device that it had (see "
                      "/proc/self/mountinfo) cannot be looked at");
  if (!same) {
    if (h->named)
      jf->found = JOURNAL_ELSEWHERE;
    return 0;
  }
  if (h->unlocked && journal_in_use(fd)) {
    jf->found = JOURNAL_LIVE;
    return 0;
  }
  if (!h->unlocked && outlives(fd))
    return vhd_fail(h->err, VHD_JOURNAL, EBUSY,
                    "%s: its journal '%s' is still in use, by a program that "
                    "was killed and has not ended, or by one that has the file "
                    "open in a twin of its file system; try again later",
                    h->file->path, jf->path);
  if (head.bytes > MOST || (uint64_t)st.st_size != JOURNAL_PAGE + head.bytes)
    return unreadable(h, jf->path, "it is cut short");
  if (head.bytes > h->most && st.st_uid != 0 && st.st_uid != geteuid())
    return unreadable(h, jf->path, "it is larger than any that vhdkit makes");
  jf->remounted = head.mounting != 0 && h->want->mounting != 0 &&
                  head.mounting != h->want->mounting;
  jf->kept = head.kept;
  return read_left(h, fd, head.bytes);
}

/* Not even opened unless it can be trusted: opening a FIFO or a device may do
 * something. */
static int
open_left(const struct hunt *h, int folder, const char *name,
          const struct stat *seen)
{
  const char *path = h->jf->path, *why = distrust(h, seen, folder);

  if (why)
    return h->named ? unreadable(h, path, why) : 0;
  CLEANUP_CLOSE int fd = host_open(folder, name, JOURNAL_OPEN_LEFT, 0);
  return fd < 0 ? unreadable(h, path, strerrordesc_np(-fd))
                : examine(h, folder, fd, seen);
}

/* Looks at one file.  Takes path over. */
static int
look_at(struct hunt *h, char *path)
{
  struct journal_file *jf = h->jf;
  const char *name;
  struct stat seen;

  CLEANUP_CLOSE int folder = journal_folder(path, &name);
  int e = folder < 0 ? -folder : 0;
  if (e == 0 && fstatat(folder, name, &seen, AT_SYMLINK_NOFOLLOW) < 0)
    e = errno;
  if ((e == ENOENT || e == ENOTDIR) && !h->named) {
    free(path);
    return 0;
  }
  free(jf->path);
  jf->path = path;
  if (e == ENOENT || e == ENOTDIR) {
    jf->found = JOURNAL_MISSING;
    return 0;
  }
  return e != 0 ? unreadable(h, path, strerrordesc_np(e))
                : open_left(h, folder, name, &seen);
}

/* What the callbacks below return ends the search or goes on with it; what they
 * found out is in h->result. */
static bool
no_memory(struct hunt *h)
{
  h->result = vhd_fail_sys(h->err, ENOMEM, "%s", h->file->path);
  return true;
}

/* Version 1 wrote no notes.  Its journals cannot be judged, for nothing in them
 * tells whether the image was changed since: an error, where there is one. */
static int
refuse_version1(void *opaque, const char *dir)
{
  struct hunt *h = opaque;
  struct journal_head head, want = *h->want;
  const char *name;

  want.fs = h->file->dev; /* what it told file systems apart by */
  CLEANUP_FREE char *path = journal_head_path(&want, dir, "");
  if (!path)
    return no_memory(h);
  if (access(path, F_OK) < 0)
    return 0;
  CLEANUP_CLOSE int folder = journal_folder(path, &name);
  CLEANUP_CLOSE int fd =
    folder < 0 ? folder : host_open(folder, name, JOURNAL_OPEN_LEFT, 0);
  if (fd < 0 && !host_tells(-fd))
    return (h->result = unreadable(h, path, strerrordesc_np(-fd))) < 0;
  if (fd < 0 || journal_head_read(fd, &head) != JOURNAL_VERSION_1 ||
      head.fs != want.fs || !journal_head_same_file(&head, &want))
    return 0;
  h->result = unreadable(h, path, "it is of an older version of vhdkit, which "
                         "must open the image once");
  return h->result < 0;
}

static int
look_in(void *opaque, const char *dir)
{
  struct hunt *h = opaque;
  char *path = journal_head_path(h->want, dir, "");

  if (!path)
    return no_memory(h);
  /* What lies in a closed folder cannot be known to be there. */
  if (access(path, F_OK) < 0) {
    free(path);
    return 0;
  }
  h->result = look_at(h, path);
  return h->result < 0 || h->jf->found != JOURNAL_NONE;
}

/* Without /proc, no journal is made either: where the file has no note of one,
 * and could have, there is none. */
static int
cannot_tell(struct vhd_file *file, bool unlocked, int e, struct vhd_error *err)
{
  if (unlocked || (e == -ENOENT && journal_note_there(file) == 0))
    return 0;
  return vhd_fail_sys(err, -e, "%s: cannot tell whether a killed program left "
                      "acknowledged changes of it in a journal", file->path);
}

int
journal_file_find(const char *dir, struct vhd_file *file, const uint8_t *id,
                  bool unlocked, size_t most, struct journal_file *jf,
                  struct vhd_error *err)
{
  struct journal_head want;
  struct hunt h = { .want = &want, .file = file, .unlocked = unlocked,
                    .named = true, .most = most, .jf = jf, .err = err };
  char *path = NULL;

  memset(jf, 0, sizeof *jf);
  int e = journal_head_fill(&want, file, id);
  if (e == 0)
    return 0;
  if (e < 0)
    return cannot_tell(file, unlocked, e, err);
  e = journal_note_read(file, want.boot, &path);
  if (e == 0)
    return look_at(&h, path);
  if (e != -ENODATA && e != -EOPNOTSUPP)
    return cannot_tell(file, unlocked, e, err);
  int (*look)(void *, const char *) =
    e == -ENODATA ? refuse_version1 : look_in;
  h.named = false;
  e = dir ? look(&h, dir) : 0;
  if (e == 0)
    e = journal_places_each(look, &h);
  return h.result < 0 ? h.result
         : e < 0      ? cannot_tell(file, unlocked, e, err)
                      : 0;
}
