/* SPDX-License-Identifier: BSD-2-Clause */
/* plain_stream.c: the stream that is a socket and nothing else, and what is
 * done with the socket of any stream.  Owns the socket.  Called by the thread
 * of the loop its connection lives on. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/stream.h"

static ssize_t
plain_recv(struct stream *s, void *buf, size_t len)
{
  ssize_t n;

  do
    n = recv(s->fd, buf, len, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

static ssize_t
plain_sendv(struct stream *s, const struct iovec *iov, int n, bool more)
{
  const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0);
  ssize_t sent;

  assert(n > 0 && n <= IOV_MAX);
  do {
    if (n == 1) {
      sent = send(s->fd, iov->iov_base, iov->iov_len, flags);
    } else {
      struct msghdr msg = {
        .msg_iov = (struct iovec *)iov,
        .msg_iovlen = n,
      };
      sent = sendmsg(s->fd, &msg, flags);
    }
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

/* sendfile() has no flags: more is left to the kernel, which knows by the
 * length that the range is not all sent, and TCP_NODELAY, which never holds
 * the last segment back.  SIGPIPE is ignored by the process, since sendfile()
 * cannot be told. */
static ssize_t
plain_sendfile(struct stream *s, int fd, uint64_t off, size_t len, bool more)
{
  off_t at = off;
  ssize_t sent;

  (void)more;
  do
    sent = sendfile(s->fd, fd, &at, len);
  while (sent < 0 && errno == EINTR);
  if (sent < 0)
    return -errno;
  return sent == 0 ? -EIO : sent;
}

static void
plain_free(struct stream *s)
{
  if (s->fd >= 0)
    close(s->fd);
  free(s);
}

static const struct stream_ops plain_ops = {
  .sends_beside = true,
  .recv = plain_recv,
  .sendv = plain_sendv,
  .sendfile = plain_sendfile,
  .free = plain_free,
};

struct stream *
stream_plain_new(int fd)
{
  struct stream *s = malloc(sizeof *s);
  if (!s)
    return NULL;
  const int flags = fcntl(fd, F_GETFL);
  if (flags >= 0 && !(flags & O_NONBLOCK))
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  *s = (struct stream){
    .ops = &plain_ops,
    .fd = fd,
    .recv_want = POLLIN,
    .send_want = POLLOUT,
  };
  return s;
}

/* ----------------------------------------------------------- of any stream */

bool
stream_throw_away(const struct stream *s)
{
  char bin[4096];
  ssize_t n;

  do
    n = recv(s->fd, bin, sizeof bin, MSG_DONTWAIT);
  while (n > 0 || (n < 0 && errno == EINTR));
  return n < 0 && errno == EAGAIN;
}

bool
stream_all_arrived(const struct stream *s)
{
  int left;

  return ioctl(s->fd, SIOCOUTQ, &left) == 0 && left == 0;
}
