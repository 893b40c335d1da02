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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "store/host.h"
#include "store/journal_file.h"
#include "store/journal_head.h"
#include "store/journal_note.h"
#include "store/journal_place.h"


#define TEMP ".XXXXXXXX"
#define TEMP_LEN (sizeof TEMP - 1)
#define MAX_TWINS 16

/* ---------------------------------------------------------------- a new one */

/* Linux has it from 5.14 on: stores that would fail later fail now. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Reserves the first `first` bytes of the caller's part, and maps it. */
static int
map_new(int fd, const struct journal_head *head, size_t first,
        struct journal_file *jf)
{
  size_t size = JOURNAL_PAGE + head->bytes;

  if (ftruncate(fd, (off_t)size) < 0 ||
      posix_fallocate(fd, 0, (off_t)(JOURNAL_PAGE + first)) != 0)
    return -ENOENT;
  void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED)
    return -ENOENT;
  /* Where no more can be reserved without the descriptor, it is now. */
  if (madvise(map, JOURNAL_PAGE + first, MADV_POPULATE_WRITE) < 0) {
    first = head->bytes;
    if (posix_fallocate(fd, 0, (off_t)size) != 0) {
      munmap(map, size);
      return -ENOENT;
    }
  }
  jf->map = map;
  jf->mem = (char *)map + JOURNAL_PAGE;
  jf->bytes = head->bytes;
  jf->reserved = first;
  return 0;
}

/* Locks it, too: the lock belongs to the mapping and lasts as long, also when
 * the descriptor is closed. */
static int
fill_new(int fd, const struct journal_head *head, size_t first,
         struct journal_file *jf)
{
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

  if (fcntl(fd, F_OFD_SETLK, &lock) < 0 || map_new(fd, head, first, jf) < 0)
    return -ENOENT;
  memcpy(jf->map, head, sizeof *head);
  return 0;
}

/* Removes what a process left that was killed before it had published it. */
static bool
remove_dead(int folder, const char *name)
{
  CLEANUP_CLOSE int fd = host_open(folder, name, JOURNAL_OPEN_LEFT, 0);

  return fd >= 0 && !journal_in_use(fd) && host_unlink(folder, name) == 0;
}

/* Makes a file under the name that it has until it is published.  Only one
 * process at a time makes one of an image; a few more may for twins of its file
 * system. */
static int
create_new(int folder, char *path, const char *name)
{
  int fd = -1;

  for (unsigned i = 0; fd < 0 && i < 2 * MAX_TWINS; i++) {
    sprintf(path + strlen(path) - TEMP_LEN, ".%08x", i / 2);
    fd = host_open(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW,
                   0600);
    if (fd < 0 && fd != -EEXIST)
      return -1;
    if (fd < 0 && i % 2 == 0 && !remove_dead(folder, name))
      i++;
  }
  return fd;
}

/* What has the name is in use, or left, for a file system that is a twin of
 * ours. */
static bool
is_taken(int folder, const char *name, size_t len,
         const struct journal_head *own)
{
  CLEANUP_FREE char *last = strndup(name, len);
  struct journal_head head;
  struct stat st;

  if (last && fstatat(folder, last, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return false;
  CLEANUP_CLOSE int old =
    last ? host_open(folder, last, JOURNAL_OPEN_LEFT, 0) : -1;
  if (!last || old < 0)
    return !last || !host_tells(-old);
  return journal_in_use(old) ||
         (journal_head_read(old, &head) == JOURNAL_VERSION &&
          journal_head_same_file(&head, own) &&
          journal_head_same_place(&head, own) <= 0);
}

static int
make_in(const char *dir, const struct journal_head *head, size_t first,
        struct journal_file *jf)
{
  const char *name;
  struct stat st;
  int e = -ENOENT;

  CLEANUP_FREE char *real = journal_place_usable(dir) ? realpath(dir, NULL)
                                                      : NULL;
  CLEANUP_FREE char *temp = real ? journal_head_path(head, real, TEMP) : NULL;
  CLEANUP_CLOSE int folder = temp ? journal_folder(temp, &name) : -1;
  if (folder < 0 || !journal_place_ours(folder) ||
      is_taken(folder, name, strlen(name) - TEMP_LEN, head))
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
  struct journal_head head;
  char *place;
  int e = -ENOENT;

  if (journal_head_fill(&head, file, id) <= 0)
    return -ENOENT;
  head.bytes = bytes;
  if (dir)
    return make_in(dir, &head, first, jf);
  for (unsigned i = 0; e < 0 && i < JOURNAL_OWN_PLACES; i++) {
    place = journal_place(i);
    if (place && *place)
      e = make_in(place, &head, first, jf);
    free(place);
  }
  return e;
}

bool
journal_file_reserve(struct journal_file *jf)
{
  if (jf->reserved == jf->bytes ||
      madvise(jf->map, JOURNAL_PAGE + jf->bytes, MADV_POPULATE_WRITE) < 0)
    return false;
  jf->reserved = jf->bytes;
  return true;
}

static int
remove_others(void *opaque, const char *dir)
{
  struct journal_file *jf = opaque;
  CLEANUP_FREE char *path = journal_head_path(jf->map, dir, "");
  const char *name;
  struct stat st;

  CLEANUP_CLOSE int folder = path ? journal_folder(path, &name) : -1;
  if (folder >= 0 && fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
      st.st_ino != jf->own_pin.file && S_ISREG(st.st_mode) &&
      !is_taken(folder, name, strlen(name), jf->map))
    host_unlink(folder, name);
  return 0;
}

/* The journal gets its name, and the image's file its note. */
static int
take_place(struct vhd_file *file, struct journal_file *jf)
{
  const struct journal_head *head = jf->map;
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
  return e == -EOPNOTSUPP ? journal_places_each(remove_others, jf) : e;
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
journal_file_keep(struct journal_file *jf, int64_t mtime)
{
  if (jf->map)
    ((struct journal_head *)jf->map)->kept = mtime;
}

void
journal_file_forget(struct vhd_file *file, struct journal_file *jf)
{
  int e = jf->path ? journal_note_remove(file) : 0;

  if (e == 0 && jf->found == JOURNAL_LEFT)
    journal_pin_unlink(&jf->pin, jf->path);
}

/* The note goes first: without it the journal is nobody's.  Where it stays, so
 * does the journal, which holds nothing any more: else that would be missed. */
void
journal_file_close(struct journal_file *jf, struct vhd_file *file, bool remove)
{
  if (remove && jf->map && journal_note_remove(file) == 0)
    journal_pin_unlink(&jf->own_pin, jf->own_path);
  if (jf->map)
    munmap(jf->map, JOURNAL_PAGE + jf->bytes);
  free(jf->own_path);
  free(jf->path);
  free(jf->left);
  memset(jf, 0, sizeof *jf);
}
