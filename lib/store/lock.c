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
 * which is what qemu does with a VHD and with any other image format.
 *
 * The kernel takes no such locks of what is mounted through a loop device: a
 * writer looks for those by itself.  A reader does not, for a device that could
 * write need never do so. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "store/host.h"
#include "store/lock.h"
#include "store/loop.h"

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

/* Is the file the disk of a loop device?  Then that is its holder. */
static int
refuse_loop(int fd, const char *path, struct vhd_error *err)
{
  struct loop_user user;
  struct stat file;
  char holder[64], link[64], now[PATH_MAX];

  if (fstat(fd, &file) < 0 || !S_ISREG(file.st_mode))
    return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, now, sizeof now - 1);
  now[n > 0 ? n : 0] = '\0';
  if (!loop_find(&file, n > 0 ? now : path, &user))
    return 0;
  snprintf(holder, sizeof holder, "the loop device %s", user.name);
  return fail_busy(user.writes ? "for writing" : "for reading", holder, path,
                   err);
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
    host_holder(fd, holder, sizeof holder);
    return fail_busy("exclusively", holder, path, err);
  }
  const uint64_t begun = now_ms();
  while (r == 0) {
    r = in_conflict(fd, uses, denies, &what);
    if (r == 0)
      return writer ? refuse_loop(fd, path, err) : 0;
    if (r > 0 && !host_holder(fd, holder, sizeof holder) &&
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
