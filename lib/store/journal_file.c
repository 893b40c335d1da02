/* SPDX-License-Identifier: BSD-2-Clause */
/* journal_file.c: see journal_file.h. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "store/journal_file.h"

#define PAGE 4096
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

struct head {
  char magic[16];
  char boot[40];
  uint64_t dev, ino;
  uint8_t id[16];
  uint64_t bytes;
};

static const char magic[16] = "vhdkit journal1";

static int
read_boot_id(char *boot, size_t size)
{
  CLEANUP_CLOSE int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);

  memset(boot, 0, size);
  ssize_t n = fd < 0 ? -1 : read(fd, boot, size - 1);
  return n < 36 ? -ENOENT : 0;
}

static int
fill_head(struct head *head, const struct vhd_file *file, const uint8_t *id,
          size_t bytes)
{
  memset(head, 0, sizeof *head);
  memcpy(head->magic, magic, sizeof magic);
  head->dev = file->dev;
  head->ino = file->ino;
  memcpy(head->id, id, sizeof head->id);
  head->bytes = bytes;
  return read_boot_id(head->boot, sizeof head->boot);
}

/* A folder where others could put files of their choice is no place. */
static bool
usable(const char *dir, bool make)
{
  struct stat st;
  struct statfs fs;

  if (make && mkdir(dir, 0700) < 0 && errno != EEXIST)
    return false;
  return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
         st.st_uid == geteuid() && (st.st_mode & 022) == 0 &&
         statfs(dir, &fs) == 0 &&
         (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) &&
         (!make || access(dir, W_OK | X_OK) == 0);
}

static char *
file_in(const char *dir, const struct vhd_file *file)
{
  char *path;

  return asprintf(&path, "%s/%llx-%llx.journal", dir,
                  (unsigned long long)file->dev,
                  (unsigned long long)file->ino) < 0 ? NULL : path;
}

/* The i-th usual place; NULL past the last, "" for one that does not apply. */
static char *
usual_place(unsigned i)
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
    env = getenv("XDG_RUNTIME_DIR");
    n = env ? asprintf(&dir, "%s/vhdkit", env) : asprintf(&dir, "%s", "");
    return n < 0 ? NULL : dir;
  case 3:
    n = asprintf(&dir, "/dev/shm/vhdkit-%u", (unsigned)geteuid());
    return n < 0 ? NULL : dir;
  default:
    return NULL;
  }
}

/* Opens the journal in dir.  -ENOENT if it is no place, or has none. */
static int
open_in(const char *dir, const struct vhd_file *file, bool readonly,
        char **path)
{
  if (!usable(dir, !readonly))
    return -ENOENT;
  *path = file_in(dir, file);
  if (!*path)
    return -ENOMEM;
  int fd = open(*path, O_RDWR | O_CLOEXEC | O_NOFOLLOW |
                (readonly ? 0 : O_CREAT), 0600);
  if (fd < 0) {
    free(*path);
    *path = NULL;
    return -ENOENT;
  }
  return fd;
}

/* A journal that was left anywhere counts before a new one is made. */
static int
find(const char *dir, const struct vhd_file *file, bool readonly, char **path)
{
  for (int make = 0; make <= !readonly; make++) {
    if (dir) {
      int fd = open_in(dir, file, !make, path);
      if (fd != -ENOENT)
        return fd;
      continue;
    }
    char *place;
    for (unsigned i = 0; (place = usual_place(i)) != NULL; i++) {
      int fd = *place ? open_in(place, file, !make, path) : -ENOENT;
      free(place);
      if (fd != -ENOENT)
        return fd;
    }
  }
  return -ENOENT;
}

static bool
is_ours(int fd, const struct head *want)
{
  struct head head;
  struct stat st;

  return fstat(fd, &st) == 0 && (uint64_t)st.st_size == PAGE + want->bytes &&
         pread(fd, &head, sizeof head, 0) == sizeof head &&
         memcmp(&head, want, sizeof head) == 0;
}

/* Empties the file and reserves its space; the head is written last. */
static int
make_anew(int fd, size_t bytes)
{
  if (ftruncate(fd, 0) < 0)
    return -errno;
  int e = posix_fallocate(fd, 0, (off_t)(PAGE + bytes));
  return -e;
}

int
journal_file_open(const char *dir, const struct vhd_file *file,
                  const uint8_t *id, size_t bytes, bool readonly,
                  struct journal_file *jf, struct vhd_error *err)
{
  struct head head;

  memset(jf, 0, sizeof *jf);
  if (fill_head(&head, file, id, bytes) < 0)
    return -ENOENT;
  CLEANUP_FREE char *path = NULL;
  CLEANUP_CLOSE int fd = find(dir, file, readonly, &path);
  if (fd < 0)
    return fd == -ENOENT ? fd : vhd_fail_sys(err, -fd, "journal");
  jf->left_over = is_ours(fd, &head);
  if (!jf->left_over) {
    if (readonly)
      return -ENOENT;
    if (make_anew(fd, bytes) < 0) {
      unlink(path);
      return -ENOENT;
    }
  }
  int prot = PROT_READ | (readonly ? 0 : PROT_WRITE);
  jf->map = mmap(NULL, PAGE + bytes, prot, MAP_SHARED, fd, 0);
  if (jf->map == MAP_FAILED) {
    jf->map = NULL;
    return vhd_fail_sys(err, errno, "cannot map the journal '%s'", path);
  }
  jf->mem = (char *)jf->map + PAGE;
  jf->bytes = bytes;
  jf->path = STEAL(path);
  if (!jf->left_over)
    memcpy(jf->map, &head, sizeof head);
  return 0;
}

void
journal_file_close(struct journal_file *jf, bool remove)
{
  if (!jf->map)
    return;
  munmap(jf->map, PAGE + jf->bytes);
  if (remove)
    unlink(jf->path);
  free(jf->path);
  memset(jf, 0, sizeof *jf);
}
