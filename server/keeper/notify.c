/* SPDX-License-Identifier: BSD-2-Clause */
/* notify.c: notifying systemd; see notify.h.  Its own library would be linked
 * for this one datagram. */
#include "config.h"

#include "keeper/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int
notify_open(void)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  const char *path = getenv("NOTIFY_SOCKET");
  size_t len = path ? strlen(path) : 0;

  if (len == 0 || len >= sizeof address.sun_path ||
      (path[0] != '/' && path[0] != '@'))
    return -1;
  memcpy(address.sun_path, path, len);
  if (path[0] == '@')
    address.sun_path[0] = '\0'; /* the abstract name space */
  unsetenv("NOTIFY_SOCKET");
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&address, size) < 0) {
    close(fd);
    fd = -1;
  }
  return fd;
}

void
notify_send(int fd, const char *state)
{
  if (fd >= 0) {
    ssize_t n = send(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n; /* a deaf supervisor is no reason to stop serving */
  }
}
