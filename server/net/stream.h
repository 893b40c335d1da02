/* SPDX-License-Identifier: BSD-2-Clause */
/* stream.h: the byte stream below the protocol, plain or TLS.
 *
 * A stream owns a connected, non-blocking socket and, for TLS, all of its
 * cryptographic state.  It knows nothing of NBD and of event loops: it says
 * which readiness of the socket it needs, and its owner waits for that.  One
 * thread at a time uses a stream (the thread of the loop its connection lives
 * on), save for .sends_beside.
 *
 * Every function that moves bytes returns
 *   > 0      so many bytes were moved;
 *   0        recv only: the peer has ended the stream, in order (for TLS: with
 *            a close_notify, or by an end of file, which ends it all the same);
 *   -EAGAIN  nothing moved; try again when .recv_want (after recv, handshake)
 *            or .send_want (after sendv, sendfile, finish) is ready;
 *   other    the stream is dead; only free is allowed.
 * SIGPIPE is never raised. */
#ifndef SERVER_NET_STREAM_H
#define SERVER_NET_STREAM_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct stream;

struct stream_ops {
  /* sendv may be called by one thread while another is in recv. */
  bool sends_beside;

  /* Begins a stream: TLS negotiates.  0 when established, -EAGAIN or -errno as
   * above.  NULL: nothing to negotiate. */
  int (*handshake)(struct stream *s);

  /* Takes as much as is there, up to len; TLS goes on to further records
   * until the socket or buf is exhausted.  Less than len does not mean that
   * nothing more is there: ask .pending. */
  ssize_t (*recv)(struct stream *s, void *buf, size_t len);

  /* Sends the concatenation of iov[0 .. n-1], n <= IOV_MAX, perhaps only its
   * beginning.  more: further bytes follow at once (MSG_MORE).  After -EAGAIN
   * the next call begins with the same bytes, perhaps at another address,
   * perhaps with more behind them. */
  ssize_t (*sendv)(struct stream *s, const struct iovec *iov, int n,
                   bool more);

  /* Sends a range of a file.  NULL: not possible, the bytes must go through
   * sendv.  A short file is -EIO. */
  ssize_t (*sendfile)(struct stream *s, int fd, uint64_t off, size_t len,
                      bool more);

  /* Bytes lie in the stream's own memory, so that recv would give some though
   * the socket may never become readable again.  NULL: never. */
  bool (*pending)(struct stream *s);

  /* Says goodbye (TLS: close_notify), without waiting for the answer.  0,
   * -EAGAIN (may be ignored) or -errno.  NULL: nothing to say. */
  int (*finish)(struct stream *s);

  /* Who the peer has proved to be (a certificate's name, a PSK identity), or
   * NULL; lives as long as the stream.  NULL: nobody. */
  const char *(*identity)(struct stream *s);
  /* By whom that is vouched for, where somebody else does: the issuer of the
   * certificate, as text; or NULL.  Likewise. */
  const char *(*issuer)(struct stream *s);

  /* Closes the socket (where .fd is not -1) and frees s. */
  void (*free)(struct stream *s);
};

struct stream {
  const struct stream_ops *ops;
  int fd;
  short recv_want; /* POLLIN or POLLOUT */
  short send_want;
};

/* A plain stream over a connected socket, which becomes non-blocking and the
 * stream's own; NULL (fd untouched) where memory is short. */
struct stream *stream_plain_new(int fd);

/* For the end of a connection, below TLS.  Throws away what has come; false:
 * the peer has gone. */
bool stream_throw_away(const struct stream *s);
/* Does the peer's kernel have all that was sent? */
bool stream_all_arrived(const struct stream *s);

/* Gives the socket up without closing it, and frees the stream: for STARTTLS,
 * which builds another stream on the same socket. */
static inline int
stream_release(struct stream *s)
{
  int fd = s->fd;

  s->fd = -1;
  s->ops->free(s);
  return fd;
}

static inline void
stream_free(struct stream *s)
{
  if (s)
    s->ops->free(s);
}

#endif
