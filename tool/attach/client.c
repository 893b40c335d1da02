/* SPDX-License-Identifier: BSD-2-Clause */
/* client.c: see client.h. */
#include "config.h"

#include "attach/client.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/unmount.h"
#include "message.h"

#define DEVICES 1024
/* How long a client that has no device any more may take to end. */
#define END_TIME 10000

/* ----------------------------------------------------------------- choosing */

static bool
has_nbd(void)
{
  return access("/sys/block/nbd0", F_OK) == 0 && geteuid() == 0;
}

static bool
has_fuse(void)
{
  return access("/dev/fuse", R_OK | W_OK) == 0;
}

static int
check_nbd(void)
{
  if (has_nbd())
    return 0;
  complain(geteuid() != 0
             ? "the kernel's NBD devices are root's; try --with fuse"
             : "the kernel has no NBD devices; modprobe nbd makes them");
  return -1;
}

static int
check_fuse(void)
{
  if (has_fuse())
    return 0;
  complain_sys(errno, "/dev/fuse cannot be used");
  return -1;
}

int
client_choose(enum attach_with *with)
{
  switch (*with) {
  case WITH_NBD:
    return check_nbd();
  case WITH_FUSE:
    return check_fuse();
  case WITH_SOCKET:
    return 0;
  case WITH_AUTO:
    break;
  }
  if (has_nbd() && process_is_there("nbd-client"))
    *with = WITH_NBD;
  else if (has_fuse() && process_is_there("nbdfuse"))
    *with = WITH_FUSE;
  else {
    complain("neither the kernel's NBD devices and nbd-client are there nor "
             "/dev/fuse and nbdfuse; --with socket does without");
    return -1;
  }
  return 0;
}

int
client_find_image(const char *name, struct attachment *a)
{
  struct stat st;

  a->image = realpath(name, NULL);
  if (!a->image || stat(a->image, &st) < 0) {
    complain_sys(errno, "%s", name);
    return -1;
  }
  if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
    complain_usage("%s: not a file", name);
    return -1;
  }
  a->dev = st.st_dev;
  a->ino = st.st_ino;
  return 0;
}

/* ------------------------------------------------- the kernel's NBD devices */

/* Who serves /dev/nbdN in the kernel; 0: nobody. */
static long
nbd_pid(const char *device)
{
  char path[64], text[24];

  snprintf(path, sizeof path, "/sys/block/%s/pid", strrchr(device, '/') + 1);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
  if (fd >= 0)
    close(fd);
  text[n > 0 ? n : 0] = '\0';
  return strtol(text, NULL, 10);
}

static char *
free_nbd(void)
{
  char path[64];

  for (int i = 0; i < DEVICES; i++) {
    snprintf(path, sizeof path, "/sys/block/nbd%d", i);
    if (access(path, F_OK) < 0)
      break;
    snprintf(path, sizeof path, "/dev/nbd%d", i);
    if (nbd_pid(path) == 0)
      return strdup(path);
  }
  complain("no NBD device is free");
  return NULL;
}

static bool
is_our_nbd(const struct attachment *a)
{
  return a->client.pid != 0 && nbd_pid(a->device) == (long)a->client.pid;
}

static int
flush(const struct attachment *a, int flags)
{
  int fd = open(a->device, O_RDONLY | O_CLOEXEC | flags);
  int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;

  if (fd >= 0)
    close(fd);
  return r;
}

static int
release_nbd(const struct attachment *a, bool force)
{
  char said[512];

  if (!is_our_nbd(a))
    return 0; /* somebody has disconnected it */
  /* Exclusively: not while it is mounted. */
  int r = flush(a, force ? 0 : O_EXCL);
  if (r < 0 && !force)
    return unmount_refuse(a->device,
                          r == -EBUSY ? "is in use" : "cannot be flushed",
                          strerror(-r));
  char *program = process_find("nbd-client", NULL);
  const char *argv[] = { program, "-d", a->device, NULL };
  if (!program)
    return -1;
  if (process_run(argv, said, sizeof said) != 0 && is_our_nbd(a))
    r = unmount_refuse(a->device, "cannot be disconnected", said);
  else
    r = 0;
  free(program);
  return r;
}

/* ------------------------------------------------------------------ nbdfuse */

/* A mount whose server is dead cannot be asked what it is. */
static bool
is_mounted(const struct entry *entry)
{
  struct stat folder, disk;

  if (fstatat(entry->fd, "disk", &disk, AT_SYMLINK_NOFOLLOW) < 0)
    return errno != ENOENT;
  return fstat(entry->fd, &folder) == 0 && folder.st_dev != disk.st_dev;
}

static int
release_fuse(const struct entry *entry, const struct attachment *a, bool force)
{
  if (!is_mounted(entry))
    return 0;
  int r = force ? 0 : flush(a, 0);
  if (r == -ENOTCONN) {
    /* nbdfuse does not look for its server again: nothing gets there. */
    complain("warning: %s: had lost its server; what that had acknowledged is "
             "in the image", a->device);
    force = true;
  } else if (r < 0)
    return unmount_refuse(a->device, "cannot be flushed", strerror(-r));
  return unmount_fuse(a->device, force);
}

/* --------------------------------------------------------------------- both */

const char *
client_program(enum attach_with with)
{
  return with == WITH_NBD ? "nbd-client" : with == WITH_FUSE ? "nbdfuse" : NULL;
}

int
client_choose_device(struct attachment *a)
{
  if (a->with != WITH_NBD)
    return 0;
  a->device = free_nbd();
  return a->device ? 0 : -1;
}

static int
nbd_arguments(const struct attachment *a, const char *socket,
              const char **argv)
{
  int n = 0;

  argv[n++] = "-unix";
  argv[n++] = socket;
  argv[n++] = a->device;
  /* As a process that stays: by it the device is known to be ours. */
  argv[n++] = "-nonetlink";
  argv[n++] = "-nofork";
  if (a->readonly)
    argv[n++] = "-readonly";
  return n;
}

/* A part of the disk goes through nbdkit, which ends with nbdfuse. */
static int
fuse_arguments(const struct attachment *a, const char *socket,
               struct client_line *line, const char **argv)
{
  int n = 0;

  if (a->readonly)
    argv[n++] = "--readonly";
  if (a->allow_root) {
    argv[n++] = "-o";
    argv[n++] = "allow_root";
  }
  argv[n++] = a->device;
  if (a->len == 0) {
    argv[n++] = "--unix";
    argv[n++] = socket;
    return n;
  }
  snprintf(line->socket, sizeof line->socket, "socket=%s", socket);
  snprintf(line->offset, sizeof line->offset, "offset=%" PRIu64, a->off);
  snprintf(line->range, sizeof line->range, "range=%" PRIu64, a->len);
  const char *const command[] = { "--command", line->filter, "-s",
                                  "--exit-with-parent", "--filter=offset",
                                  "nbd", line->socket, line->offset,
                                  line->range };
  for (size_t i = 0; i < sizeof command / sizeof command[0]; i++)
    argv[n++] = command[i];
  return n;
}

bool
client_arguments(const struct attachment *a, const char *program,
                 const char *socket, struct client_line *line)
{
  const char **argv = line->argv;
  int n = 0;

  argv[n++] = program;
  if (a->with == WITH_NBD)
    n += nbd_arguments(a, socket, argv + n);
  else if (a->with == WITH_FUSE)
    n += fuse_arguments(a, socket, line, argv + n);
  argv[n] = NULL;
  return n > 1;
}

bool
client_is_ready(const struct entry *entry, const struct attachment *a)
{
  struct stat st;

  return a->with == WITH_NBD ? is_our_nbd(a)
                             : is_mounted(entry) && stat(a->device, &st) == 0;
}

bool
client_is_readonly(const struct attachment *a)
{
  struct stat st;
  char path[64], flag = '0';

  if (a->with == WITH_FUSE)
    return stat(a->device, &st) == 0 && (st.st_mode & 0222) == 0;
  if (a->with != WITH_NBD)
    return false;
  snprintf(path, sizeof path, "/sys/block/%s/ro",
           strrchr(a->device, '/') + 1);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    if (read(fd, &flag, 1) < 1)
      flag = '0';
    close(fd);
  }
  return flag == '1';
}

int
client_release(const struct entry *entry, const struct attachment *a,
               bool force)
{
  int r = 0;

  if (a->with == WITH_NBD)
    r = release_nbd(a, force);
  else if (a->with == WITH_FUSE)
    r = release_fuse(entry, a, force);
  if (r == 0 && !process_end(&a->client, 0, force ? 1000 : END_TIME) &&
      !process_end(&a->client, SIGTERM, 1000) &&
      !process_end(&a->client, SIGKILL, END_TIME)) {
    complain("%s: process %ld, which has it, does not end", a->device,
             (long)a->client.pid);
    r = -1;
  }
  return r;
}
