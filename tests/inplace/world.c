/* SPDX-License-Identifier: BSD-2-Clause */
/* world.c: see world.h.
 *
 * The library tells files apart by their numbers.  So those that there were at
 * first have a second name in a folder of their own, and are used again for
 * each state. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "calls.h"

#define ROOM 160
#define PAGE 4096U

char world_folder[ROOM], world_journals[ROOM];
static char top[64], known[ROOM];
static pid_t owner;

static void
need(bool done, const char *what)
{
  if (done)
    return;
  fprintf(stderr, "inplace: %s: %s\n", what, strerror(errno));
  abort();
}

/* ------------------------------------------------------------------ folders */

static void
empty(const char *folder)
{
  DIR *dir = opendir(folder);
  const struct dirent *entry;
  char path[2 * ROOM + 256];

  need(dir != NULL, folder);
  while ((entry = readdir(dir)) != NULL) {
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (entry->d_type != DT_DIR)
      need(unlink(path) == 0, path);
  }
  closedir(dir);
}

static void
remove_all(void)
{
  char *const folders[] = { world_folder, world_journals, known };

  if (getpid() != owner)
    return;
  for (int i = 0; i < 3; i++) {
    empty(folders[i]);
    rmdir(folders[i]);
  }
  rmdir(top);
}

void
world_open(void)
{
  const char *shm = getenv("TEST_SHM");
  struct stat st;

  snprintf(top, sizeof top, "%s/vkinplace.XXXXXX", shm && *shm ? shm
                                                            : "/dev/shm");
  if (!mkdtemp(top)) {
    printf("SKIP: %s cannot be made: %s\n", top, strerror(errno));
    exit(77);
  }
  snprintf(world_folder, ROOM, "%s/images", top);
  snprintf(world_journals, ROOM, "%s/journals", top);
  snprintf(known, ROOM, "%s/known", top);
  need(mkdir(world_folder, 0700) == 0 && mkdir(world_journals, 0700) == 0 &&
         mkdir(known, 0700) == 0, top);
  need(stat(world_folder, &st) == 0, world_folder);
  calls.dev = st.st_dev;
  calls.folder = st.st_ino;
  setenv("VHDKIT_JOURNAL_DIR", world_journals, 1);
  owner = getpid();
  atexit(remove_all);
}

const char *
world_path(const char *name)
{
  static char path[8][ROOM + 257];
  static unsigned next;
  char *at = path[next++ % 8];

  snprintf(at, sizeof path[0], "%s/%s", world_folder, name);
  return at;
}

void
world_clear(void)
{
  empty(world_folder);
  empty(world_journals);
  empty(known);
}

/* ------------------------------------------------------------------- states */

static const char *
known_path(ino_t ino)
{
  static char path[ROOM + 32];

  snprintf(path, sizeof path, "%s/%llu", known, (unsigned long long)ino);
  return path;
}

static void
read_file(const char *path, struct state_file *f)
{
  struct stat st;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);

  need(fd >= 0 && fstat(fd, &st) == 0, path);
  f->ino = st.st_ino;
  f->size = (uint64_t)st.st_size;
  f->mtime = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
  f->bytes = malloc(f->size + 1);
  need(f->bytes && pread(fd, f->bytes, f->size, 0) == (ssize_t)f->size, path);
  close(fd);
}

void
world_take(struct state *s, bool keep)
{
  DIR *dir = opendir(world_folder);
  const struct dirent *entry;
  struct stat st;

  need(dir != NULL, world_folder);
  *s = (struct state){ 0 };
  while ((entry = readdir(dir)) != NULL) {
    const char *path = world_path(entry->d_name);
    int i = 0;
    if (entry->d_type == DT_DIR)
      continue;
    need(stat(path, &st) == 0, path);
    while (i < s->nfile && s->file[i].ino != st.st_ino)
      i++;
    if (i == s->nfile) {
      read_file(path, &s->file[s->nfile++]);
      if (keep)
        need(link(path, known_path(st.st_ino)) == 0, path);
    }
    names_set(&s->names, entry->d_name, i);
  }
  closedir(dir);
}

static void
set_time(int fd, int64_t mtime)
{
  const struct timespec times[2] = {
    { .tv_nsec = UTIME_OMIT },
    { .tv_sec = mtime / 1000000000, .tv_nsec = mtime % 1000000000 },
  };

  need(mtime == 0 || futimens(fd, times) == 0, "futimens");
}

static bool
is_zero(const uint8_t *bytes, uint64_t n)
{
  return bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0;
}

/* Pages of zeros are holes, as on a disk that never got any. */
static void
put_bytes(int fd, const struct state_file *f, const char *path)
{
  need(ftruncate(fd, 0) == 0 && ftruncate(fd, (off_t)f->size) == 0, path);
  for (uint64_t off = 0, end, n; off < f->size; off = end) {
    for (end = off; end < f->size; end += n) {
      n = f->size - end < PAGE ? f->size - end : PAGE;
      if (is_zero(f->bytes + end, n))
        break;
    }
    need(pwrite(fd, f->bytes + off, end - off, (off_t)off) ==
           (ssize_t)(end - off), path);
    end += end < f->size ? n : 0;
  }
}

/* The file, in a place outside of the folder. */
static void
put_file(const struct state_file *f, const char *path, ino_t *ino)
{
  struct stat st;
  const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

  need(fd >= 0 && fstat(fd, &st) == 0, path);
  put_bytes(fd, f, path);
  fremovexattr(fd, "user.vhdkit.journal");
  set_time(fd, f->mtime);
  close(fd);
  *ino = st.st_ino;
}

void
world_put(const struct state *s)
{
  empty(world_folder);
  empty(world_journals);
  calls.nfile = s->nfile;
  for (int i = 0; i < s->nfile; i++) {
    const struct state_file *f = &s->file[i];
    const char *path = known_path(f->ino);
    bool named = false;
    calls.file[i] = 0;
    for (int n = 0; n < s->names.n; n++) {
      const struct naming *naming = &s->names.at[n];
      if (naming->file != i)
        continue;
      if (!named)
        put_file(f, path, &calls.file[i]);
      named = true;
      need(link(path, world_path(naming->name)) == 0, naming->name);
    }
    if (named && f->ino == 0)
      unlink(path);
  }
}

/* --------------------------------------------------------------- recordings */

void
world_begin(const struct state *start, struct log *log)
{
  *log = (struct log){ 0 };
  if (calls.nfile != start->nfile)
    abort();
  calls.log = log;
  calls_begin();
  calls.on = true;
}

void
world_end(void)
{
  calls.on = false;
  world_plan(FATE_NONE, 0);
}

void
world_know_no_nameless(bool know_none)
{
  calls.no_nameless = know_none;
}

void
log_free(struct log *log)
{
  for (size_t i = 0; i < log->n; i++)
    free(log->event[i].bytes);
  free(log->event);
  *log = (struct log){ 0 };
}
