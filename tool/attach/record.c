/* SPDX-License-Identifier: BSD-2-Clause */
/* record.c: see record.h. */
#include "config.h"

#include "attach/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD_MAX 16384
#define FIRST_STRING "vhdkit-attach-1"
#define BOOT_SIZE 40

static const char *const with_names[] = {
  [WITH_AUTO] = "auto",
  [WITH_NBD] = "nbd",
  [WITH_FUSE] = "fuse",
  [WITH_SOCKET] = "socket",
};

const char *
attach_with_name(enum attach_with with)
{
  return with_names[with];
}

/* Which boot this is; "" where the system does not say. */
static void
boot_id(char *id)
{
  int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read(fd, id, BOOT_SIZE - 1) : 0;

  id[n > 0 ? n : 0] = '\0';
  id[strcspn(id, "\n")] = '\0';
  if (fd >= 0)
    close(fd);
}

/* ------------------------------------------------------------------ reading */

static int
read_all(int fd, char *text, size_t *len)
{
  struct stat st;

  if (fstat(fd, &st) < 0)
    return -errno;
  if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
      st.st_size >= RECORD_MAX)
    return -EINVAL;
  ssize_t n = read(fd, text, RECORD_MAX - 1);
  if (n < 0)
    return -errno;
  *len = (size_t)n;
  return n > 0 && text[n - 1] == '\0' ? 0 : -EINVAL;
}

/* The value of KEY; NULL where there is none. */
static const char *
value_of(const char *text, size_t len, const char *key)
{
  size_t n = strlen(key);

  for (const char *at = text; at < text + len; at += strlen(at) + 1)
    if (strncmp(at, key, n) == 0 && at[n] == '=')
      return at + n + 1;
  return NULL;
}

static bool
number(const char *text, size_t len, const char *key, uint64_t *value)
{
  const char *digits = value_of(text, len, key);
  char *end;

  if (!digits || *digits < '0' || *digits > '9')
    return false;
  errno = 0;
  *value = strtoumax(digits, &end, 10);
  return errno == 0 && *end == '\0';
}

static bool
process(const char *text, size_t len, const char *pid_key,
        const char *start_key, struct process *p)
{
  uint64_t pid, start;

  if (!number(text, len, pid_key, &pid) || pid > INT32_MAX ||
      !number(text, len, start_key, &start))
    return false;
  *p = (struct process){ .pid = (pid_t)pid, .start = start };
  return true;
}

static bool
parse_with(const char *name, enum attach_with *with)
{
  for (int i = WITH_NBD; name && i <= WITH_SOCKET; i++)
    if (strcmp(with_names[i], name) == 0) {
      *with = (enum attach_with)i;
      return true;
    }
  return false;
}

/* What only one with a file system has: all of it or none. */
static int
parse_folder(const char *text, size_t len, struct attachment *a)
{
  const char *folder = value_of(text, len, "folder");
  uint64_t dev, part;

  if (!folder)
    return 0;
  if (folder[0] != '/' || !number(text, len, "folder-dev", &dev) ||
      !number(text, len, "part", &part) || part > UINT32_MAX ||
      !number(text, len, "off", &a->off) ||
      !number(text, len, "len", &a->len) ||
      !process(text, len, "driver", "driver-start", &a->driver))
    return -EINVAL;
  a->folder_dev = dev;
  a->part = (unsigned)part;
  a->folder = strdup(folder);
  if (!a->folder)
    abort();
  return 0;
}

static int
parse(const char *text, size_t len, struct attachment *a)
{
  const char *image = value_of(text, len, "image");
  const char *device = value_of(text, len, "device");
  const char *boot = value_of(text, len, "boot");
  char here[BOOT_SIZE];
  uint64_t dev, ino, readonly, complete;

  if (strcmp(text, FIRST_STRING) != 0 || !image || image[0] != '/' || !device ||
      device[0] != '/' || !boot ||
      !parse_with(value_of(text, len, "with"), &a->with) ||
      !number(text, len, "dev", &dev) || !number(text, len, "ino", &ino) ||
      !number(text, len, "readonly", &readonly) ||
      !number(text, len, "complete", &complete) ||
      !process(text, len, "server", "server-start", &a->server) ||
      !process(text, len, "client", "client-start", &a->client) ||
      parse_folder(text, len, a) < 0)
    return -EINVAL;
  a->dev = dev;
  a->ino = ino;
  a->readonly = readonly != 0;
  a->complete = complete != 0;
  boot_id(here);
  if (strcmp(boot, here) != 0)
    a->server = a->client = a->driver = (struct process){ 0 };
  a->image = strdup(image);
  a->device = strdup(device);
  if (!a->image || !a->device)
    abort();
  return 0;
}

int
record_read(int folder, const char *name, struct attachment *a)
{
  char text[RECORD_MAX];
  size_t len = 0;

  *a = (struct attachment){ 0 };
  int fd = openat(folder, name,
                  O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0)
    return -errno;
  int r = read_all(fd, text, &len);
  close(fd);
  return r < 0 ? r : parse(text, len, a);
}

/* ------------------------------------------------------------------ writing */

static int
write_file(int fd, const struct attachment *a)
{
  char boot[BOOT_SIZE];

  boot_id(boot);
  int n = dprintf(fd,
                  FIRST_STRING "%cimage=%s%cdevice=%s%cwith=%s%cboot=%s%c"
                  "dev=%ju%cino=%ju%creadonly=%d%ccomplete=%d%c"
                  "server=%ld%cserver-start=%" PRIu64 "%c"
                  "client=%ld%cclient-start=%" PRIu64 "%c",
                  0, a->image, 0, a->device, 0, attach_with_name(a->with), 0,
                  boot, 0, (uintmax_t)a->dev, 0, (uintmax_t)a->ino, 0,
                  a->readonly, 0, a->complete, 0, (long)a->server.pid, 0,
                  a->server.start, 0, (long)a->client.pid, 0, a->client.start,
                  0);
  int more = 0;
  if (n >= 0 && a->folder)
    more = dprintf(fd,
                   "folder=%s%cfolder-dev=%ju%cpart=%u%coff=%" PRIu64 "%c"
                   "len=%" PRIu64 "%cdriver=%ld%cdriver-start=%" PRIu64 "%c",
                   a->folder, 0, (uintmax_t)a->folder_dev, 0, a->part, 0,
                   a->off, 0, a->len, 0, (long)a->driver.pid, 0,
                   a->driver.start, 0);
  if (n < 0 || more < 0)
    return -errno;
  return n + more >= RECORD_MAX ? -ENAMETOOLONG : 0;
}

int
record_write(int folder, const char *name, const struct attachment *a)
{
  char next[32];

  snprintf(next, sizeof next, "%s.new", name);
  int fd = openat(folder, next,
                  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return -errno;
  int r = write_file(fd, a);
  if (close(fd) < 0 && r == 0)
    r = -errno;
  if (r == 0 && renameat(folder, next, folder, name) < 0)
    r = -errno;
  if (r < 0)
    unlinkat(folder, next, 0);
  return r;
}

void
attachment_free(struct attachment *a)
{
  free(a->image);
  free(a->device);
  free(a->folder);
  *a = (struct attachment){ 0 };
}
