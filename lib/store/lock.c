/* SPDX-License-Identifier: BSD-2-Clause */
/* lock.c: byte locks laid as qemu's file driver lays them, so that its tools
 * and ours respect each other.  Owns nothing; any thread.
 *
 * There is a byte for each of four permissions: read consistently (0), write
 * (1), write without change (2), resize (3).  Whoever makes use of permission p
 * holds a read lock on byte 100+p; whoever cannot bear that others do holds one
 * on byte 200+p.  All locks are read locks, which never conflict: one first
 * takes one's own, then asks whether a write lock would be possible on the
 * bytes that must not be held.  Of two who come at the same time at least one
 * so sees the other.
 *
 *                 uses      cannot bear   asks for
 *   reader        0         1 3           200 101 103
 *   writer        0 1 3     1 3           200 201 203 101 103
 *
 * which is what qemu does with a VHD and with any other image format. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "store/lock.h"

#define BYTE_USED 100
#define BYTE_DENIED 200

enum {
  PERM_READ = 1 << 0,
  PERM_WRITE = 1 << 1,
  PERM_RESIZE = 1 << 3,
};
#define NPERM 4

/* How long a lock may stay whose holder cannot be seen. */
#define LINGER_MS 2000
#define LINGER_STEP_MS 20

/* ------------------------------------------------------------- the holder */

/* Is fd `name` of process `pid` our file, and does that description hold locks
 * (2), or is it merely open (1)? */
static int
rate_descriptor(const char *pid, const char *name, const struct stat *file)
{
  char path[64];
  struct stat st;
  snprintf(path, sizeof path, "/proc/%.15s/fd/%.15s", pid, name);
  if (stat(path, &st) < 0 || st.st_dev != file->st_dev ||
      st.st_ino != file->st_ino)
    return 0;

  snprintf(path, sizeof path, "/proc/%.15s/fdinfo/%.15s", pid, name);
  FILE *info = fopen(path, "re");
  int rating = 1;
  char line[256];
  while (info != NULL && rating == 1 &&
         fgets(line, sizeof line, info) != NULL)
    if (strncmp(line, "lock:", 5) == 0)
      rating = 2;
  if (info != NULL)
    fclose(info);
  return rating;
}

/* The best rating among the descriptors of a process, our own left out. */
static int
rate_process(const char *pid, int own_fd, const struct stat *file)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/%.15s/fd", pid);
  DIR *dir = opendir(path);
  if (dir == NULL)
    return 0;

  bool self = atoi(pid) == getpid();
  int best = 0;
  struct dirent *entry;
  while (best < 2 && (entry = readdir(dir)) != NULL) {
    if (entry->d_name[0] == '.' || (self && atoi(entry->d_name) == own_fd))
      continue;
    int rating = rate_descriptor(pid, entry->d_name, file);
    if (rating > best)
      best = rating;
  }
  closedir(dir);
  return best;
}

static void
read_name(const char *pid, char *name, size_t size)
{
  char path[64];
  snprintf(path, sizeof path, "/proc/%.15s/comm", pid);
  FILE *comm = fopen(path, "re");
  name[0] = '\0';
  if (comm != NULL) {
    if (fgets(name, (int)size, comm) != NULL)
      name[strcspn(name, "\n")] = '\0';
    fclose(comm);
  }
}

/* What /proc tells of a process. */
struct facts {
  long parent;
  bool dying;
};

#define EXITING 4 /* of the kernel's flags of a process */

/* From the end of the name, which can hold anything, on: the state, numbers. */
static void
read_facts(const char *pid, struct facts *facts)
{
  char path[64], line[1024] = "";
  snprintf(path, sizeof path, "/proc/%.15s/stat", pid);
  FILE *stat = fopen(path, "re");
  *facts = (struct facts){ 0, false };
  if (stat == NULL)
    return;
  char *at = fgets(line, sizeof line, stat) ? strrchr(line, ')') : NULL;
  fclose(stat);
  at = at ? strchr(at, ' ') : NULL;
  for (int field = 3; at != NULL; field++) {
    const long value = strtol(at + 1, NULL, 10);
    if (field == 4)
      facts->parent = value;
    if ((field == 9 && (value & EXITING)) || (field == 52 && value == SIGKILL))
      facts->dying = true;
    at = strchr(at + 1, ' ');
  }
}

/* A process called "NAME-part" is a part of its parent, if that is "NAME", and
 * it is the parent that people know and can stop. */
static void
name_process(const char *pid, char *text, size_t size)
{
  char name[64], whole[64], parent[16];
  struct facts facts;

  read_name(pid, name, sizeof name);
  read_facts(pid, &facts);
  snprintf(parent, sizeof parent, "%ld", facts.parent);
  read_name(parent, whole, sizeof whole);
  const size_t n = strlen(whole);
  if (n > 0 && strncmp(name, whole, n) == 0 && name[n] == '-')
    snprintf(text, size, "%s (pid %.15s)", whole, parent);
  else
    snprintf(text, size, "%s (pid %.15s)", name[0] ? name : "a process", pid);
}

/* Who has the file open?  The kernel does not say whose a description's lock
 * is, so all processes that we may look into are searched: for one whose
 * description holds locks, else for one that merely has the file open.  One
 * that was killed does not count: it will be gone in a moment. */
static bool
find_holder(int fd, char *text, size_t size)
{
  snprintf(text, size, "another program");
  struct stat file;
  DIR *dir = opendir("/proc");
  if (dir == NULL || fstat(fd, &file) < 0) {
    if (dir != NULL)
      closedir(dir);
    return false;
  }

  int best = 0;
  struct dirent *entry;
  while (best < 2 && (entry = readdir(dir)) != NULL) {
    if (!isdigit((unsigned char)entry->d_name[0]))
      continue;
    int rating = rate_process(entry->d_name, fd, &file);
    struct facts facts;
    if (rating > best)
      read_facts(entry->d_name, &facts);
    if (rating > best && !facts.dying) {
      best = rating;
      name_process(entry->d_name, text, size);
    }
  }
  closedir(dir);
  return best > 0;
}

/* --------------------------------------------------------------- the locks */

static int
lock_byte(int fd, int cmd, short type, off_t byte, short *found)
{
  struct flock lock = {
    .l_type = type,
    .l_whence = SEEK_SET,
    .l_start = byte,
    .l_len = 1,
  };
  int r;
  do
    r = fcntl(fd, cmd, &lock);
  while (r < 0 && errno == EINTR);
  if (r < 0)
    return -errno;
  if (found != NULL)
    *found = lock.l_type;
  return 0;
}

static int
hold(int fd, unsigned perms, off_t base)
{
  for (int p = 0; p < NPERM; p++) {
    int r = perms & 1U << p
              ? lock_byte(fd, F_OFD_SETLK, F_RDLCK, base + p, NULL)
              : 0;
    if (r < 0)
      return r;
  }
  return 0;
}

/* The permissions whose byte somebody else holds, or -errno. */
static int
held_by_others(int fd, unsigned perms, off_t base)
{
  int held = 0;
  for (int p = 0; p < NPERM; p++) {
    if (!(perms & 1U << p))
      continue;
    short found;
    int r = lock_byte(fd, F_OFD_GETLK, F_WRLCK, base + p, &found);
    if (r < 0)
      return r;
    if (found != F_UNLCK)
      held |= 1 << p;
  }
  return held;
}

static int
fail_busy(const char *what, const char *holder, const char *path,
          struct vhd_error *err)
{
  return vhd_fail(err, VHD_BUSY, EBUSY, "%s: held %s by %s", path, what,
                  holder);
}

/* Who else uses what we deny, or denies what we use?  1 and how, in *what; 0
 * nobody; -errno. */
static int
in_conflict(int fd, unsigned uses, unsigned denies, const char **what)
{
  int used = held_by_others(fd, denies, BYTE_USED);
  int denied = used < 0 ? used : held_by_others(fd, uses, BYTE_DENIED);

  if (denied < 0)
    return denied;
  *what = used != 0 ? "for writing" : "for reading";
  return used != 0 || denied != 0;
}

/* To look for a holder may take long itself, where there are many processes. */
static uint64_t
now_ms(void)
{
  struct timespec ts;

  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int
lock_take(int fd, bool writer, const char *path, struct vhd_error *err)
{
  unsigned uses = PERM_READ | (writer ? PERM_WRITE | PERM_RESIZE : 0);
  unsigned denies = PERM_WRITE | PERM_RESIZE;
  const char *what = "";
  char holder[128];

  int r = hold(fd, uses, BYTE_USED);
  if (r == 0)
    r = hold(fd, denies, BYTE_DENIED);
  /* Nobody takes a write lock of these bytes but who is ill-mannered. */
  if (r == -EAGAIN || r == -EACCES) {
    find_holder(fd, holder, sizeof holder);
    return fail_busy("exclusively", holder, path, err);
  }
  const uint64_t begun = now_ms();
  while (r == 0) {
    r = in_conflict(fd, uses, denies, &what);
    if (r == 0)
      return 0;
    if (r > 0 && !find_holder(fd, holder, sizeof holder) &&
        now_ms() - begun < LINGER_MS) {
      usleep(LINGER_STEP_MS * 1000);
      r = 0;
    }
  }
  return r < 0 ? vhd_fail_sys(err, -r, "%s: cannot lock it", path)
               : fail_busy(what, holder, path, err);
}

enum vhd_holders
lock_look(int fd)
{
  const unsigned changes = PERM_WRITE | PERM_RESIZE;

  if (held_by_others(fd, changes, BYTE_USED) > 0)
    return VHD_HELD_WRITING;
  return held_by_others(fd, PERM_READ, BYTE_USED) > 0 ||
             held_by_others(fd, PERM_READ | changes, BYTE_DENIED) > 0
           ? VHD_HELD_READING
           : VHD_HELD_BY_NOBODY;
}
