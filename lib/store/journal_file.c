/* SPDX-License-Identifier: BSD-2-Clause */
/* journal_file.c: see journal_file.h.
 *
 * A new journal is made under a name of its own, and takes its place by a
 * rename, the content of the old one in it.  So there is a whole one at each
 * moment, whenever the process is killed, and nothing of another user's is
 * mapped, who could cut it short under our feet. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "store/host.h"
#include "store/journal_file.h"
#include "store/journal_note.h"
#include "store/journal_place.h"

#define PAGE 4096
/* How long the files of a killed process may take to be closed. */
#define LINGER_MS 2000
#define LINGER_STEP_MS 5
#define MOST (256U << 20) /* no journal is larger */
#define OPEN_LEFT (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

/* Version 1 had no stamps (image/journal.h) in its second part. */
static const char magic[16] = "vhdkit journal2";
static const char magic1[16] = "vhdkit journal1";
#define MAGIC_STEM 14

struct head {
  char magic[16];
  char boot[BOOT_ID_SIZE];
  uint64_t fs, ino;
  uint8_t id[16];
  uint64_t bytes;
};

/* Device numbers may change with the next mount; the file system's own id does
 * not.  -ENOENT: this file is not fit for a journal. */
static int
fill_head(struct head *head, struct vhd_file *file, const uint8_t *id)
{
  struct statfs fs;

  memset(head, 0, sizeof *head);
  if (!journal_suits(file, &fs))
    return -ENOENT;
  memcpy(head->magic, magic, sizeof magic);
  memcpy(&head->fs, &fs.f_fsid, sizeof head->fs);
  if (head->fs == 0)
    head->fs = file->dev;
  head->ino = file->ino;
  memcpy(head->id, id, sizeof head->id);
  return boot_id(head->boot);
}

#define TEMP ".XXXXXXXX"
#define TEMP_LEN (sizeof TEMP - 1)

static char *
file_in(const char *dir, const struct head *head, const char *more)
{
  char *path;

  return asprintf(&path, "%s/%llx-%llx.journal%s", dir,
                  (unsigned long long)head->fs,
                  (unsigned long long)head->ino, more) < 0 ? NULL : path;
}

/* -------------------------------------------------------------- looking for */

struct hunt {
  const struct head *want;
  struct vhd_file *file;
  bool unlocked;
  bool named; /* the image's file names this one */
  size_t most; /* bytes in one of another user */
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

static bool
in_use(int fd)
{
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

  return fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
}

/* Whoever has the journal of an image whose lock is ours was killed: the kernel
 * closes its files one after the other. */
static bool
outlives(int fd)
{
  for (unsigned ms = 0; in_use(fd); ms += LINGER_STEP_MS) {
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
  ssize_t n = pread(fd, jf->left, bytes, PAGE);
  if (n < 0 || (uint64_t)n != bytes)
    return unreadable(h, jf->path, "it is cut short");
  jf->left_bytes = bytes;
  jf->found = JOURNAL_LEFT;
  return 0;
}

static bool
same_image(const struct head *a, const struct head *b)
{
  return memcmp(a->boot, b->boot, sizeof a->boot) == 0 && a->fs == b->fs &&
         a->ino == b->ino && memcmp(a->id, b->id, sizeof a->id) == 0;
}

/* What is in an opened journal, which was `seen` before that? */
static int
examine(const struct hunt *h, int folder, int fd, const struct stat *seen)
{
  struct journal_file *jf = h->jf;
  struct head head;
  struct stat st;

  const char *why = fstat(fd, &st) < 0 || st.st_ino != seen->st_ino ||
                    journal_pin(&jf->pin, folder, &st) < 0
                      ? "it was exchanged" : distrust(h, &st, fd);
  if (!why && (pread(fd, &head, sizeof head, 0) != sizeof head ||
               memcmp(head.magic, magic, MAGIC_STEM) != 0))
    why = "it is no journal";
  if (why)
    return h->named ? unreadable(h, jf->path, why) : 0;
  if (memcmp(head.magic, magic, sizeof magic) != 0)
    return unreadable(h, jf->path, "it is of another version of vhdkit, which "
                      "must open the image once");
  if (!same_image(&head, h->want)) {
    if (h->named)
      jf->found = JOURNAL_ELSEWHERE;
    return 0;
  }
  if (h->unlocked && in_use(fd)) {
    jf->found = JOURNAL_LIVE;
    return 0;
  }
  if (!h->unlocked && outlives(fd))
    return vhd_fail(h->err, VHD_JOURNAL, EBUSY,
                    "%s: its journal '%s' is still in use, by a program that "
                    "was killed and has not ended, or by one that has the file "
                    "open in a twin of its file system; try again later",
                    h->file->path, jf->path);
  if (head.bytes > MOST || (uint64_t)st.st_size != PAGE + head.bytes)
    return unreadable(h, jf->path, "it is cut short");
  if (head.bytes > h->most && st.st_uid != 0 && st.st_uid != geteuid())
    return unreadable(h, jf->path, "it is larger than any that vhdkit makes");
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
  CLEANUP_CLOSE int fd = host_open(folder, name, OPEN_LEFT, 0);
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

/* Version 1 wrote no notes.  Its journals cannot be judged, for nothing in them
 * tells whether the image was changed since: an error, where there is one. */
static int
refuse_version1(void *opaque, const char *dir)
{
  struct hunt *h = opaque;
  struct head head, want = *h->want;
  const char *name;

  want.fs = h->file->dev; /* what it told file systems apart by */
  CLEANUP_FREE char *path = file_in(dir, &want, "");
  CLEANUP_CLOSE int folder =
    path && access(path, F_OK) == 0 ? journal_folder(path, &name) : -1;
  CLEANUP_CLOSE int fd =
    folder < 0 ? -1 : host_open(folder, name, OPEN_LEFT, 0);
  if (fd < 0 || pread(fd, &head, sizeof head, 0) != sizeof head ||
      memcmp(head.magic, magic1, sizeof magic1) != 0 ||
      !same_image(&head, &want))
    return 0;
  return unreadable(h, path, "it is of an older version of vhdkit, which must "
                    "open the image once");
}

static int
look_in(void *opaque, const char *dir)
{
  struct hunt *h = opaque;
  char *path = file_in(dir, h->want, "");

  if (!path)
    return vhd_fail_sys(h->err, ENOMEM, "%s", h->file->path);
  /* What lies in a closed folder cannot be known to be there. */
  if (access(path, F_OK) < 0) {
    free(path);
    return 0;
  }
  int e = look_at(h, path);
  return e < 0 ? e : h->jf->found != JOURNAL_NONE;
}

int
journal_file_find(const char *dir, struct vhd_file *file, const uint8_t *id,
                  bool unlocked, size_t most, struct journal_file *jf,
                  struct vhd_error *err)
{
  struct head want;
  struct hunt h = { &want, file, unlocked, true, most, jf, err };
  char *path = NULL;

  memset(jf, 0, sizeof *jf);
  if (fill_head(&want, file, id) < 0)
    return 0;
  int e = journal_note_read(file, want.boot, &path);
  if (e == 0)
    return look_at(&h, path);
  if (e != -ENODATA && e != -EOPNOTSUPP)
    return vhd_fail_sys(err, -e, "%s: cannot tell whether it has a journal",
                        file->path);
  int (*look)(void *, const char *) =
    e == -ENODATA ? refuse_version1 : look_in;
  h.named = false;
  e = dir ? look(&h, dir) : 0;
  if (e == 0)
    e = journal_places_each(look, &h);
  return e < 0 ? e : 0;
}

/* ---------------------------------------------------------------- a new one */

/* Linux has it from 5.14 on: stores that would fail later fail now. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Reserves the first `first` bytes of the caller's part, and maps it. */
static int
map_new(int fd, const struct head *head, size_t first, struct journal_file *jf)
{
  size_t size = PAGE + head->bytes;

  if (ftruncate(fd, (off_t)size) < 0 ||
      posix_fallocate(fd, 0, (off_t)(PAGE + first)) != 0)
    return -ENOENT;
  void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED)
    return -ENOENT;
  /* Where no more can be reserved without the descriptor, it is now. */
  if (madvise(map, PAGE + first, MADV_POPULATE_WRITE) < 0) {
    first = head->bytes;
    if (posix_fallocate(fd, 0, (off_t)size) != 0) {
      munmap(map, size);
      return -ENOENT;
    }
  }
  jf->map = map;
  jf->mem = (char *)map + PAGE;
  jf->bytes = head->bytes;
  jf->reserved = first;
  return 0;
}

/* Locks it, too: the lock belongs to the mapping and lasts as long, also when
 * the descriptor is closed. */
static int
fill_new(int fd, const struct head *head, size_t first,
         struct journal_file *jf)
{
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

  if (fcntl(fd, F_OFD_SETLK, &lock) < 0 || map_new(fd, head, first, jf) < 0)
    return -ENOENT;
  memcpy(jf->map, head, sizeof *head);
  return 0;
}

/* Makes a file under the name that it has until it is published. */
static int
create_new(int folder, char *path, const char *name)
{
  uint32_t random;
  int fd = -1;

  for (int i = 0; fd < 0 && i < 100; i++) {
    if (getrandom(&random, sizeof random, 0) != sizeof random)
      return -1;
    sprintf(path + strlen(path) - TEMP_LEN, ".%08" PRIx32, random);
    fd = host_open(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW,
                   0600);
    if (fd < 0 && fd != -EEXIST)
      return -1;
  }
  return fd;
}

/* What has the name is in use, for a file system that is a twin of ours. */
static bool
is_taken(int folder, const char *name, size_t len)
{
  CLEANUP_FREE char *last = strndup(name, len);
  struct stat st;

  if (last && fstatat(folder, last, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return false;
  CLEANUP_CLOSE int old = last ? host_open(folder, last, OPEN_LEFT, 0) : -1;
  return !last || (old >= 0 && in_use(old));
}

static int
make_in(const char *dir, const struct head *head, size_t first,
        struct journal_file *jf)
{
  const char *name;
  struct stat st;
  int e = -ENOENT;

  CLEANUP_FREE char *real = journal_place_usable(dir) ? realpath(dir, NULL)
                                                      : NULL;
  CLEANUP_FREE char *temp = real ? file_in(real, head, TEMP) : NULL;
  CLEANUP_CLOSE int folder = temp ? journal_folder(temp, &name) : -1;
  if (folder < 0 || !journal_place_ours(folder) ||
      is_taken(folder, name, strlen(name) - TEMP_LEN))
    return -ENOENT;
  CLEANUP_CLOSE int fd = create_new(folder, temp, name);
  if (fd < 0)
    return -ENOENT;
  if (fstat(fd, &st) == 0 && journal_pin(&jf->own_pin, folder, &st) == 0)
    e = fill_new(fd, head, first, jf);
  if (e < 0)
    host_unlink(folder, name);
  else
    jf->own_path = STEAL(temp);
  return e;
}

int
journal_file_make(const char *dir, struct vhd_file *file, const uint8_t *id,
                  size_t bytes, size_t first, struct journal_file *jf)
{
  struct head head;
  char *place;
  int e = -ENOENT;

  if (fill_head(&head, file, id) < 0)
    return -ENOENT;
  head.bytes = bytes;
  if (dir)
    return make_in(dir, &head, first, jf);
  for (unsigned i = 0; e < 0 && (place = journal_place(i)) != NULL; i++) {
    if (*place)
      e = make_in(place, &head, first, jf);
    free(place);
  }
  return e;
}

bool
journal_file_reserve(struct journal_file *jf)
{
  if (jf->reserved == jf->bytes ||
      madvise(jf->map, PAGE + jf->bytes, MADV_POPULATE_WRITE) < 0)
    return false;
  jf->reserved = jf->bytes;
  return true;
}

static int
remove_others(void *opaque, const char *dir)
{
  struct journal_file *jf = opaque;
  CLEANUP_FREE char *path = file_in(dir, jf->map, "");
  const char *name;
  struct stat st;

  CLEANUP_CLOSE int folder = path ? journal_folder(path, &name) : -1;
  if (folder >= 0 && fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
      st.st_ino != jf->own_pin.file && S_ISREG(st.st_mode))
    host_unlink(folder, name);
  return 0;
}

/* The journal gets its name, and the image's file its note. */
static int
take_place(struct vhd_file *file, struct journal_file *jf)
{
  const struct head *head = jf->map;
  size_t len = strlen(jf->own_path) - TEMP_LEN;
  CLEANUP_FREE char *path = strndup(jf->own_path, len);

  int e = path ? journal_pin_rename(&jf->own_pin, jf->own_path,
                                    strrchr(path, '/') + 1) : -ENOMEM;
  if (e < 0)
    return e;
  free(jf->own_path);
  jf->own_path = STEAL(path);
  if (jf->found == JOURNAL_LEFT && strcmp(jf->path, jf->own_path) == 0)
    return 0; /* the note, if there can be one, is right */
  e = journal_note_write(file, head->boot, jf->own_path);
  if (e == -EOPNOTSUPP) {
    journal_places_each(remove_others, jf);
    e = 0;
  }
  return e;
}

int
journal_file_publish(struct vhd_file *file, struct journal_file *jf)
{
  int e = take_place(file, jf);

  if (e < 0)
    journal_pin_unlink(&jf->own_pin, jf->own_path);
  else if (jf->found == JOURNAL_LEFT && strcmp(jf->path, jf->own_path) != 0)
    journal_pin_unlink(&jf->pin, jf->path);
  return e;
}

void
journal_file_forget(struct vhd_file *file, struct journal_file *jf)
{
  if (jf->found == JOURNAL_LEFT)
    journal_pin_unlink(&jf->pin, jf->path);
  if (jf->path)
    journal_note_remove(file);
}

/* The note goes first: without it the journal is nobody's. */
void
journal_file_close(struct journal_file *jf, struct vhd_file *file, bool remove)
{
  if (remove && jf->map) {
    journal_note_remove(file);
    journal_pin_unlink(&jf->own_pin, jf->own_path);
  }
  if (jf->map)
    munmap(jf->map, PAGE + jf->bytes);
  free(jf->own_path);
  free(jf->path);
  free(jf->left);
  memset(jf, 0, sizeof *jf);
}
