/* SPDX-License-Identifier: BSD-2-Clause */
/* journal_note.c: see journal_note.h. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "store/host.h"
#include "store/journal_note.h"

#define NAME "user.vhdkit.journal"
#define UUID_LEN 36
#define NOTE_SIZE (UUID_LEN + 1 + PATH_MAX)

/* It does not change while we live: read once. */
int
boot_id(char boot[BOOT_ID_SIZE])
{
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static char known[BOOT_ID_SIZE];
  int e = 0;

  pthread_mutex_lock(&lock);
  if (known[0] == '\0') {
    CLEANUP_CLOSE int fd =
      host_open(AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY, 0);
    ssize_t n = fd < 0 ? fd : read(fd, known, UUID_LEN);
    if (n < UUID_LEN) {
      e = fd < 0 ? fd : n < 0 ? -errno : -EIO;
      memset(known, 0, sizeof known);
    }
  }
  memcpy(boot, known, sizeof known);
  pthread_mutex_unlock(&lock);
  return e;
}

int
journal_note_there(struct vhd_file *file)
{
  if (fgetxattr(file->fd, NAME, NULL, 0) >= 0)
    return 1;
  return errno == ENODATA ? 0 : -errno;
}

int
journal_note_read(struct vhd_file *file, const char *boot, char **path)
{
  char note[NOTE_SIZE + 1];

  ssize_t n = fgetxattr(file->fd, NAME, note, NOTE_SIZE);
  if (n < 0)
    return errno == ERANGE ? -ENODATA : -errno;
  note[n] = '\0';
  const char *said = note + UUID_LEN + 1;
  if (n <= UUID_LEN + 1 || strlen(note) != (size_t)n ||
      strncmp(note, boot, UUID_LEN) != 0 || note[UUID_LEN] != ' ' ||
      *said != '/')
    return -ENODATA;
  *path = strdup(said);
  return *path ? 0 : -ENOMEM;
}

int
journal_note_write(struct vhd_file *file, const char *boot, const char *path)
{
  char note[NOTE_SIZE];

  int n = snprintf(note, sizeof note, "%s %s", boot, path);
  if (n < 0 || (size_t)n >= sizeof note)
    return -ENAMETOOLONG;
  return fsetxattr(file->fd, NAME, note, (size_t)n, 0) < 0 ? -errno : 0;
}

int
journal_note_remove(struct vhd_file *file)
{
  return fremovexattr(file->fd, NAME) == 0 || errno == ENODATA ||
             errno == EOPNOTSUPP
           ? 0 : -errno;
}
