/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stream: sockets, plain or under TLS. See stream.h.
 *
 * A plain socket is in blocking mode once it is connected, so that a caller
 * with nothing else to do may wait in recv() itself; all other calls pass
 * MSG_DONTWAIT.
 */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "fail.h"
#include "stream.h"

#define BACKLOG_RETRY_US 500      /* a Unix socket's full backlog */
#define BACKLOG_RETRIES_MAX 20000

void
stream_address_unix(struct stream_address *address, const char *path)
{
  struct sockaddr_un sun = {.sun_family = AF_UNIX};

  if (strlen(path) >= sizeof sun.sun_path)
    fail(FAIL_USAGE, "%s: too long for a Unix socket", path);
  strcpy(sun.sun_path, path);
  memcpy(&address->address, &sun, sizeof sun);
  address->len = sizeof sun;
}

void
stream_address_tcp(struct stream_address *address, const char *host_port)
{
  char host[256];
  const char *colon = strrchr(host_port, ':');

  if (!colon || (size_t)(colon - host_port) >= sizeof host)
    fail(FAIL_USAGE, "%s: expected HOST:PORT", host_port);
  memcpy(host, host_port, colon - host_port);
  host[colon - host_port] = '\0';

  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct addrinfo *found;
  int r = getaddrinfo(host, colon + 1, &hints, &found);
  if (r != 0)
    fail(FAIL_USAGE, "%s: %s", host_port, gai_strerror(r));
  memcpy(&address->address, found->ai_addr, found->ai_addrlen);
  address->len = found->ai_addrlen;
  freeaddrinfo(found);
}

static int
connect_unix(int fd, const struct stream_address *address)
{
  for (int i = 0; i < BACKLOG_RETRIES_MAX; i++) {
    if (connect(fd, (const struct sockaddr *)&address->address,
                address->len) == 0)
      return 0;
    if (errno != EAGAIN)
      return -errno;
    usleep(BACKLOG_RETRY_US);
  }
  return -EAGAIN;
}

static int
connect_tcp(int fd, const struct stream_address *address)
{
  int on = 1;

  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, (const struct sockaddr *)&address->address,
              address->len) == 0)
    return 0;
  return -errno;
}

int
stream_connect(struct stream *s, const struct stream_address *address)
{
  int family = address->address.ss_family;

  s->tls = NULL;
  s->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (s->fd < 0)
    return -errno;
  int r = family == AF_UNIX ? connect_unix(s->fd, address)
                            : connect_tcp(s->fd, address);
  return r == 0 ? stream_connected(s) : r;
}

int
stream_connected(struct stream *s)
{
  int error = 0;
  socklen_t len = sizeof error;

  if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
    return -errno;
  if (error)
    return -error;

  struct timeval patience = {.tv_sec = STREAM_PATIENCE_S};
  setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  fcntl(s->fd, F_SETFL, fcntl(s->fd, F_GETFL) & ~O_NONBLOCK);
  return 0;
}

void
stream_start_tls(struct stream *s, struct tls_context *context)
{
  s->tls = tls_new(context, s->fd);
}

ssize_t
stream_recv(struct stream *s, void *buf, size_t len, bool wait)
{
  if (s->tls)
    return tls_recv(s->tls, buf, len, wait);
  for (;;) {
    ssize_t n = recv(s->fd, buf, len, wait ? 0 : MSG_DONTWAIT);
    if (n >= 0)
      return n;
    if (errno != EINTR)
      return -errno;
  }
}

bool
stream_has_input(const struct stream *s)
{
  return s->tls && tls_has_input(s->tls);
}

ssize_t
stream_send(struct stream *s, const struct iovec *iov, int count)
{
  if (s->tls)
    return tls_send(s->tls, iov, count);

  struct msghdr message = {
    .msg_iov = (struct iovec *)iov,
    .msg_iovlen = count,
  };
  for (;;) {
    ssize_t n = sendmsg(s->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
      return n;
    if (errno != EINTR)
      return -errno;
  }
}

bool
stream_has_output(const struct stream *s)
{
  return s->tls && tls_has_output(s->tls);
}

int
stream_flush(struct stream *s)
{
  return s->tls ? tls_flush(s->tls) : 0;
}

void
stream_close(struct stream *s)
{
  if (s->tls) {
    tls_shutdown(s->tls);
    tls_free(s->tls);
    s->tls = NULL;
  }
  if (s->fd >= 0)
    close(s->fd);
  s->fd = -1;
}
