/* SPDX-License-Identifier: BSD-2-Clause */
/* journal_head.c: see journal_head.h. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/journal_head.h"
#include "store/journal_place.h"
#include "store/mounts.h"

static const char magic[16] = "vhdkit journal2";
static const char magic1[16] = "vhdkit journal1";
#define MAGIC_STEM 14

int
journal_head_fill(struct journal_head *head, struct vhd_file *file,
                  const uint8_t *id)
{
  struct statfs fs;

  memset(head, 0, sizeof *head);
  int e = journal_suits(file, &fs);
  if (e <= 0)
    return e;
  memcpy(head->magic, magic, sizeof magic);
  head->fs = mounts_fs_id(&fs, file->dev);
  head->ino = file->ino;
  head->dev = file->dev;
  head->mounting = mounts_mounting(file->fd, &fs, file->dev);
  memcpy(head->id, id, sizeof head->id);
  e = boot_id(head->boot);
  return e < 0 ? e : 1;
}

enum journal_version
journal_head_read(int fd, struct journal_head *head)
{
  if (pread(fd, head, sizeof *head, 0) != sizeof *head ||
      memcmp(head->magic, magic, MAGIC_STEM) != 0)
    return JOURNAL_NO_VERSION;
  if (memcmp(head->magic, magic, sizeof magic) == 0)
    return JOURNAL_VERSION;
  return memcmp(head->magic, magic1, sizeof magic1) == 0
           ? JOURNAL_VERSION_1 : JOURNAL_VERSION_OTHER;
}

char *
journal_head_path(const struct journal_head *head, const char *dir,
                  const char *more)
{
  char *path;

  return asprintf(&path, "%s/%llx-%llx.journal%s", dir,
                  (unsigned long long)head->fs,
                  (unsigned long long)head->ino, more) < 0 ? NULL : path;
}

bool
journal_head_same_file(const struct journal_head *a,
                       const struct journal_head *b)
{
  return memcmp(a->boot, b->boot, sizeof a->boot) == 0 && a->ino == b->ino &&
         memcmp(a->id, b->id, sizeof a->id) == 0;
}

/* Device numbers may change when a file system is mounted again, and with them,
 * of some, its id.  But a twin of it (a snapshot, a copy of the whole), which
 * has all of its ids, may be mounted beside it, and is on another device.  What
 * else is on the device that it had says nothing.  1, 0 or -errno. */
int
journal_head_same_place(const struct journal_head *left,
                        const struct journal_head *own)
{
  if (left->dev == 0 || left->dev == own->dev)
    return left->fs == own->fs;
  int e = mounts_has(left->fs, left->dev, own->dev);
  return e < 0 ? e : !e;
}

bool
journal_in_use(int fd)
{
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

  return fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
}
