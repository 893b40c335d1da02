/* SPDX-License-Identifier: BSD-2-Clause */
/* driver.c: see driver.h. */
#include "config.h"

#include "attach/driver.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/unmount.h"
#include "message.h"

/* What it has in memory is written at its end. */
#define END_TIME 60000
#define FORCE_TIME 5000

/* clang-format off */
static const struct driver drivers[] = {
  { .content = "ext4", .program = "fuse2fs", .package = "fuse2fs",
    .foreground = "-f", .options = "", .writable = "rw",
    .not_root = "fakeroot" },
  { .content = "ext3", .program = "fuse2fs", .package = "fuse2fs",
    .foreground = "-f", .options = "", .writable = "rw",
    .not_root = "fakeroot" },
  { .content = "ext2", .program = "fuse2fs", .package = "fuse2fs",
    .foreground = "-f", .options = "", .writable = "rw",
    .not_root = "fakeroot" },
  { .content = "ntfs", .program = "ntfs-3g", .package = "ntfs-3g",
    .options = "no_detach", .writable = "rw", .owned = true },
  { .content = "exfat", .program = "mount.exfat-fuse",
    .package = "exfat-fuse", .foreground = "-d", .options = "",
    .writable = "rw", .owned = true, .talks = true },
  /* Its own writing it calls experimental. */
  { .content = "vfat", .program = "fusefat", .package = "fusefat",
    .foreground = "-f", .options = "", .talks = true },
};
/* clang-format on */

const struct driver *
driver_of(const char *content)
{
  for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++)
    if (strcmp(drivers[i].content, content) == 0)
      return &drivers[i];
  return NULL;
}

bool
driver_is_privileged(const char *program)
{
  struct stat st;

  return geteuid() != 0 && stat(program, &st) == 0 && st.st_uid == 0 &&
         (st.st_mode & S_ISUID) != 0;
}

static void
add_option(char options[DRIVER_OPTIONS], const char *option)
{
  const size_t len = strlen(options);

  if (option && *option != '\0')
    snprintf(options + len, DRIVER_OPTIONS - len, "%s%s", len > 0 ? "," : "",
             option);
}

void
driver_arguments(const struct driver *driver, const struct attachment *a,
                 const char *program, char options[DRIVER_OPTIONS],
                 const char *argv[DRIVER_ARGS])
{
  char owner[80];
  int n = 0;

  options[0] = '\0';
  add_option(options, driver->options);
  add_option(options, a->readonly ? "ro" : driver->writable);
  if (geteuid() != 0)
    add_option(options, driver->not_root);
  snprintf(owner, sizeof owner, "uid=%lu,gid=%lu,umask=077",
           (unsigned long)geteuid(), (unsigned long)getegid());
  if (driver->owned)
    add_option(options, owner);
  argv[n++] = program;
  argv[n++] = a->device;
  argv[n++] = a->folder;
  if (driver->foreground)
    argv[n++] = driver->foreground;
  if (*options != '\0') {
    argv[n++] = "-o";
    argv[n++] = options;
  }
  argv[n] = NULL;
}

bool
driver_is_ready(const struct attachment *a)
{
  struct stat st;

  return stat(a->folder, &st) == 0 && st.st_dev != a->folder_dev;
}

/* A mount whose driver is dead cannot be asked what it is; one that can, while
 * ours is dead, is somebody else's. */
static bool
is_mounted(const struct attachment *a)
{
  struct stat st;

  if (lstat(a->folder, &st) < 0)
    return errno == ENOTCONN || errno == ECONNABORTED;
  return st.st_dev != a->folder_dev && process_is_alive(&a->driver);
}

int
driver_release(const struct attachment *a, bool force)
{
  if (!a->folder)
    return 0;
  if (is_mounted(a)) {
    const bool dead = !process_is_alive(&a->driver);
    if (dead)
      complain("warning: %s: its driver had died; the file system should be "
               "checked", a->folder);
    if (unmount_fuse(a->folder, force || dead) < 0)
      return -1;
  }
  if (process_end(&a->driver, 0, force ? FORCE_TIME : END_TIME) ||
      (force && process_end(&a->driver, SIGKILL, END_TIME)))
    return 0;
  complain("%s: its driver, process %ld, has not written everything yet; the "
           "same again goes on waiting", a->folder, (long)a->driver.pid);
  return -1;
}
