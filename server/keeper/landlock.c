/* SPDX-License-Identifier: BSD-2-Clause */
/* landlock.c: landlock's system calls; see landlock.h.
 *
 * The interface is spelled out here: the C library has no wrappers, and the
 * kernel's header of the system that we are built on may be older than the
 * kernel we run on.  What is handled grows with the version (ABI) that the
 * running kernel reports; rights it does not know must not be named. */
#include "config.h"

#include "keeper/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define CREATE_RULESET_VERSION (1U << 0)
#define RULE_PATH_BENEATH 1

#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_REMOVE_DIR (1ULL << 4)
#define FS_REMOVE_FILE (1ULL << 5)
#define FS_MAKE_DIR (1ULL << 7)
#define FS_MAKE_REG (1ULL << 8)
#define FS_MAKE_SYM (1ULL << 12)
#define FS_REFER (1ULL << 13)    /* from version 2 on */
#define FS_TRUNCATE (1ULL << 14) /* from version 3 on */

/* All rights to files that a version knows, from the first on. */
#define FS_ALL_1 ((1ULL << 13) - 1)
#define FS_ALL_2 ((1ULL << 14) - 1) /* linking and renaming to elsewhere */
#define FS_ALL_3 ((1ULL << 15) - 1) /* truncating */
#define FS_ALL_5 ((1ULL << 16) - 1) /* ioctls of devices */

#define NET_ALL_4 3ULL   /* binding and connecting TCP sockets */
#define SCOPE_ALL_6 3ULL /* foreign abstract Unix sockets, signals */

struct ruleset_attr {
  uint64_t fs;
  uint64_t net;
  uint64_t scope;
};

struct path_beneath_attr {
  uint64_t allowed;
  int32_t parent_fd;
} __attribute__((packed));

static int
abi_version(void)
{
  return (int)syscall(SYS_landlock_create_ruleset, NULL, (size_t)0,
                      CREATE_RULESET_VERSION);
}

static uint64_t
handled_fs(int abi)
{
  return abi >= 5   ? FS_ALL_5
         : abi >= 3 ? FS_ALL_3
         : abi == 2 ? FS_ALL_2
                    : FS_ALL_1;
}

int
landlock_new(void)
{
  int abi = abi_version();
  if (abi < 1) {
    return abi < 0 && errno != ENOSYS && errno != EOPNOTSUPP ? -errno
                                                             : -EOPNOTSUPP;
  }
  const struct ruleset_attr attr = {
    .fs = handled_fs(abi),
    .net = abi >= 4 ? NET_ALL_4 : 0,
    .scope = abi >= 6 ? SCOPE_ALL_6 : 0,
  };
  /* An old kernel must not be shown members it does not know. */
  size_t size = abi >= 6   ? sizeof attr
                : abi >= 4 ? offsetof(struct ruleset_attr, scope)
                           : offsetof(struct ruleset_attr, net);
  int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0U);
  return fd < 0 ? -errno : fd;
}

/* What a file has of its own: the rest is about names in folders. */
#define OF_FILES (FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE)

static uint64_t
allowed(enum landlock_right right)
{
  static const uint64_t all[] = {
    [LANDLOCK_READ] = FS_READ_FILE | FS_READ_DIR,
    [LANDLOCK_WRITE] = FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE,
    [LANDLOCK_CHANGE] = FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE |
                        FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR |
                        FS_MAKE_REG | FS_MAKE_SYM | FS_REFER | FS_TRUNCATE,
  };

  return all[right] & handled_fs(abi_version());
}

static int
allow_open(int ruleset, int fd, const char *path, enum landlock_right right,
           struct vhd_error *err)
{
  struct path_beneath_attr attr = {
    .allowed = allowed(right),
    .parent_fd = fd,
  };
  struct stat st;

  if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
    attr.allowed &= OF_FILES;
  return syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &attr,
                 0U) < 0
           ? fail_system(err, errno, "landlock: cannot permit %s", path)
           : 0;
}

int
landlock_allow(int ruleset, const char *path, enum landlock_right right,
               struct vhd_error *err)
{
  int fd = open(path, O_PATH | O_CLOEXEC);

  if (fd < 0)
    return errno == ENOENT || errno == ENOTDIR || errno == EACCES
             ? 0
             : fail_system(err, errno, "landlock: cannot open %s", path);
  int r = allow_open(ruleset, fd, path, right, err);
  close(fd);
  return r;
}

void
landlock_close(int ruleset)
{
  close(ruleset);
}

int
landlock_enter(int ruleset, struct vhd_error *err)
{
  long r = syscall(SYS_landlock_restrict_self, ruleset, 0U);
  int sys = errno;
  close(ruleset);
  return r < 0 ? fail_system(err, sys, "cannot enter landlock") : 0;
}
