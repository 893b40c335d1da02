/* SPDX-License-Identifier: BSD-2-Clause */
/* disk_text.c: see disk_text.h. */
#include "config.h"

#include "provision/disk_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "provision/disk_folder.h"

#define CLIENT "client: "

/* How many bytes make the character there; 0: they make none that can be
 * shown. */
static size_t
character(const unsigned char *s)
{
  const size_t n = *s < 0x80             ? 1
                   : (*s & 0xe0) == 0xc0 ? 2
                   : (*s & 0xf0) == 0xe0 ? 3
                   : (*s & 0xf8) == 0xf0 ? 4
                                         : 0;
  unsigned value = n == 1 ? *s : *s & 0x7fU >> n;

  for (size_t i = 1; i < n; i++) {
    if ((s[i] & 0xc0) != 0x80)
      return 0;
    value = value << 6 | (s[i] & 0x3f);
  }
  static const unsigned least[] = { 0, 0x20, 0xa0, 0x800, 0x10000 };
  const bool good = value >= least[n] && value != 0x7f && value <= 0x10ffff &&
                    (value < 0xd800 || value > 0xdfff);
  return good ? n : 0;
}

const char *
disk_text_check(const char *text)
{
  const unsigned char *s = (const unsigned char *)text;

  if (strlen(text) >= DISK_TEXT_SIZE)
    return "it is longer than 255 bytes";
  while (*s) {
    const size_t n = character(s);
    if (n == 0)
      return "it is not one line of UTF-8";
    s += n;
  }
  return NULL;
}

/* As much as has room. */
static void
take_line(const char *line, char *text, size_t size)
{
  const unsigned char *s = (const unsigned char *)line;
  size_t at = 0, n;

  for (; *s && *s != '\n'; s += n ? n : 1) {
    n = character(s);
    if (at + (n ? n : 1) >= size)
      break;
    memcpy(text + at, n ? (const char *)s : "?", n ? n : 1);
    at += n ? n : 1;
  }
  text[at] = '\0';
}

void
disk_text_read(int folder, unsigned number, char *text, char *client,
               size_t size)
{
  /* A character at the end of it ends before the zeros. */
  char name[32], bytes[3 * DISK_TEXT_SIZE + 4] = "";

  text[0] = client[0] = '\0';
  snprintf(name, sizeof name, "%u.txt", number);
  const int fd =
    openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0)
    return;
  const ssize_t n = pread(fd, bytes, sizeof bytes - 4, 0);
  close(fd);
  bytes[n > 0 ? n : 0] = '\0';
  take_line(bytes, text, size);
  const char *second = strchr(bytes, '\n');
  if (second && strncmp(second + 1, CLIENT, strlen(CLIENT)) == 0)
    take_line(second + 1 + strlen(CLIENT), client, size);
}

int
disk_text_write(const char *path, const char *text, const char *client,
                struct vhd_error *err)
{
  struct vhd_output *output;
  int r = vhd_output_open(path, VHD_CREATE_OVERWRITE, &output, err);

  if (r < 0)
    return r;
  const int fd = vhd_output_fd(output);
  if (dprintf(fd, "%s\n", text) < 0 ||
      (client && dprintf(fd, CLIENT "%s\n", client) < 0))
    r = fail_system(err, errno, "%s", path);
  if (r == 0)
    r = vhd_output_commit(output, err);
  vhd_output_close(output);
  return r;
}
