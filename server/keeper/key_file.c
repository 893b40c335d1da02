/* SPDX-License-Identifier: BSD-2-Clause */
/* key_file.c: reading a file of keys; see key_file.h. */
#include "config.h"

#include "keeper/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "net/tls/keys.h"

#define FIRST_SIZE 16384

/* Twice as large; nothing secret stays in the former memory. */
static int
grow(unsigned char **bytes, size_t *size)
{
  unsigned char *more = malloc(2 * *size);

  if (!more)
    return -ENOMEM;
  memcpy(more, *bytes, *size);
  explicit_bzero(*bytes, *size);
  free(*bytes);
  *bytes = more;
  *size *= 2;
  return 0;
}

/* The size of a file is what has come of it: it may be a pipe. */
static int
read_whole(int fd, unsigned char **bytes, size_t *n)
{
  size_t size = FIRST_SIZE;

  *n = 0;
  *bytes = malloc(size);
  if (!*bytes)
    return -ENOMEM;
  for (;;) {
    ssize_t got = read(fd, *bytes + *n, size - *n);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return got < 0 ? -errno : 0;
    *n += (size_t)got;
    if (*n > KEYS_MAX_BYTES)
      return -EFBIG;
    if (*n == size && grow(bytes, &size) < 0)
      return -ENOMEM;
  }
}

int
key_file_read(void *opaque, const char *path, unsigned char **bytes, size_t *n,
              struct vhd_error *err)
{
  (void)opaque;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0)
    return fail_system(err, errno, "TLS: cannot read %s", path);
  int r = read_whole(fd, bytes, n);
  close(fd);
  if (r < 0) {
    if (*bytes) {
      explicit_bzero(*bytes, *n);
      free(*bytes);
    }
    *bytes = NULL;
    return fail_system(err, -r, "TLS: cannot read %s", path);
  }
  return 0;
}
