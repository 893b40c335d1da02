/* SPDX-License-Identifier: BSD-2-Clause */
/* send.c: see send.h. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/send.h"
#include "base/buffer.h"
#include "disk/budget.h"
#include "net/stream.h"

/* Replies that follow each other share a buffer of this size. */
#define BATCH_SIZE ((size_t)256 << 10)
#define IOVS 32

void
send_init(struct sender *s, struct account *account)
{
  s->account = account;
  TAILQ_INIT(&s->pieces);
  pthread_mutex_init(&s->early.lock, NULL);
}

void
send_destroy(struct sender *s)
{
  pthread_mutex_destroy(&s->early.lock);
}

static struct piece *
piece_new(struct sender *s)
{
  struct piece *piece = malloc(sizeof *piece);
  if (!piece)
    return NULL;
  *piece = (struct piece){ .fd = -1 };
  TAILQ_INSERT_TAIL(&s->pieces, piece, link);
  return piece;
}

static void
piece_free_first(struct sender *s)
{
  struct piece *piece = TAILQ_FIRST(&s->pieces);

  TAILQ_REMOVE(&s->pieces, piece, link);
  if (piece->buf)
    budget_put(s->account, piece->buf);
  if (piece->sent)
    piece->sent(piece->of, piece->failed);
  free(piece);
}

unsigned char *
send_reserve(struct sender *s, size_t n)
{
  struct piece *piece = TAILQ_LAST(&s->pieces, pieces);

  if (piece && piece->room >= n)
    return piece->at + piece->len;

  const bool more = (s->batching || (piece && piece->buf)) &&
                    !budget_is_tight(s->account->budget);
  const size_t want = more && n < BATCH_SIZE ? BATCH_SIZE : n;
  struct buf *buf = budget_get(s->account, want);
  if (!buf)
    return NULL;
  piece = piece_new(s);
  if (!piece) {
    budget_put(s->account, buf);
    return NULL;
  }
  piece->buf = buf;
  piece->at = buf_data(buf) - BUF_HEADROOM;
  piece->room = buf_size(buf) + BUF_HEADROOM;
  return piece->at;
}

void
send_commit(struct sender *s, size_t n)
{
  struct piece *piece = TAILQ_LAST(&s->pieces, pieces);

  assert(piece && piece->room >= n);
  piece->len += n;
  piece->room -= n;
  s->len += n;
}

bool
send_buf(struct sender *s, struct buf *buf, unsigned char *at, size_t len)
{
  struct piece *piece = piece_new(s);
  if (!piece) {
    budget_put(s->account, buf);
    return false;
  }
  piece->buf = buf;
  piece->at = at;
  piece->len = len;
  s->len += len;
  return true;
}

bool
send_file(struct sender *s, int fd, uint64_t off, size_t len,
          void (*sent)(void *of, bool failed), void *of)
{
  struct piece *piece = piece_new(s);
  if (!piece)
    return false;
  piece->sent = sent;
  piece->of = of;
  piece->fd = fd;
  piece->off = off;
  piece->len = len;
  s->len += len;
  return true;
}

/* ------------------------------------------------------------ out of files */

/* Of the page cache alone, where a file system knows that question; it was
 * there when the piece was made. */
static bool
read_cached(int fd, void *buf, size_t len, uint64_t off)
{
  const struct iovec iov = { .iov_base = buf, .iov_len = len };
  ssize_t n = preadv2(fd, &iov, 1, (off_t)off, RWF_NOWAIT);

  if (n < 0 && errno == EOPNOTSUPP)
    n = pread(fd, buf, len, (off_t)off);
  return n == (ssize_t)len;
}

static bool
detach(struct sender *s, struct piece *piece)
{
  struct buf *buf = NULL;

  if (piece->len <= BUF_MAX && budget_may(s->account, piece->len))
    buf = budget_get(s->account, piece->len);
  if (!buf)
    return false;
  if (!read_cached(piece->fd, buf_data(buf), piece->len, piece->off)) {
    budget_put(s->account, buf);
    return false;
  }
  void (*sent)(void *, bool) = piece->sent;
  piece->buf = buf;
  piece->at = buf_data(buf);
  piece->sent = NULL;
  piece->fd = -1;
  sent(piece->of, false);
  return true;
}

bool
send_detach_some(struct sender *s)
{
  struct piece *piece;

  TAILQ_FOREACH(piece, &s->pieces, link)
    if (!piece->buf)
      return detach(s, piece);
  return false;
}

/* ---------------------------------------------------------------- sending */

/* No socket gives these errors. */
static bool
is_of_file(ssize_t result)
{
  return result == -EIO || result == -EUCLEAN;
}

static ssize_t
send_file_piece(struct sender *s, struct stream *stream, struct piece *piece)
{
  const bool more = TAILQ_NEXT(piece, link) != NULL;
  const ssize_t n =
    stream->ops->sendfile(stream, piece->fd, piece->off, piece->len, more);

  if (n > 0) {
    piece->off += (uint64_t)n;
    piece->len -= (size_t)n;
    s->len -= (size_t)n;
    budget_moved(s->account, (uint64_t)n);
    if (piece->len == 0)
      piece_free_first(s);
  } else {
    piece->failed = is_of_file(n);
  }
  return n;
}

static void
bytes_sent(struct sender *s, size_t n)
{
  struct piece *piece;

  s->len -= n;
  budget_moved(s->account, n);
  while ((piece = TAILQ_FIRST(&s->pieces)) != NULL && piece->buf &&
         n >= piece->len) {
    n -= piece->len;
    piece_free_first(s);
  }
  if (n > 0) {
    piece->at += n;
    piece->len -= n;
  }
}

static ssize_t
send_bytes(struct sender *s, struct stream *stream)
{
  struct iovec iov[IOVS];
  struct piece *piece;
  int n = 0;

  TAILQ_FOREACH(piece, &s->pieces, link) {
    if (!piece->buf || n == IOVS)
      break;
    iov[n++] = (struct iovec){ .iov_base = piece->at, .iov_len = piece->len };
  }
  const ssize_t sent = stream->ops->sendv(stream, iov, n, piece != NULL);
  if (sent > 0)
    bytes_sent(s, (size_t)sent);
  return sent;
}

/* The pieces.  0: all; else as send_some(). */
static int
send_pieces(struct sender *s, struct stream *stream)
{
  struct piece *piece;
  ssize_t n = 0;

  while ((piece = TAILQ_FIRST(&s->pieces)) != NULL) {
    if (piece->len == 0) {
      piece_free_first(s);
      continue;
    }
    n = piece->buf ? send_bytes(s, stream) : send_file_piece(s, stream, piece);
    if (n <= 0)
      break;
    s->early.midway = true;
  }
  if (piece)
    return n < 0 ? (int)n : -EIO;
  s->early.midway = false;
  return 0;
}

/* The lock is held.  The early replies, unless they have to wait: 0, or why not
 * all were sent. */
static int
send_early_bytes(struct early *e, struct stream *stream)
{
  unsigned len = atomic_load_explicit(&e->len, memory_order_relaxed);
  ssize_t n = 0;

  while (len > 0 && !e->midway) {
    struct iovec iov = { .iov_base = e->bytes + e->at, .iov_len = len };
    n = stream->ops->sendv(stream, &iov, 1, false);
    if (n <= 0)
      return n < 0 ? (int)n : -EIO;
    len -= (unsigned)n;
    e->at = len > 0 ? e->at + (unsigned)n : 0;
    atomic_store_explicit(&e->len, len, memory_order_relaxed);
  }
  return 0;
}

int
send_some(struct sender *s, struct stream *stream)
{
  pthread_mutex_lock(&s->early.lock);
  int r = send_early_bytes(&s->early, stream);
  if (r == 0)
    r = send_pieces(s, stream);
  if (r == 0)
    r = send_early_bytes(&s->early, stream);
  pthread_mutex_unlock(&s->early.lock);
  s->blocked = r == -EAGAIN;
  return r;
}

void
send_clear(struct sender *s)
{
  pthread_mutex_lock(&s->early.lock);
  s->early.stream = NULL;
  atomic_store_explicit(&s->early.len, 0, memory_order_relaxed);
  pthread_mutex_unlock(&s->early.lock);
  while (!TAILQ_EMPTY(&s->pieces))
    piece_free_first(s);
  s->len = 0;
}

/* ------------------------------------------------------------ early replies */

void
send_allow_early(struct sender *s, struct stream *stream)
{
  if (!stream->ops->sends_beside)
    return;
  pthread_mutex_lock(&s->early.lock);
  s->early.stream = stream;
  pthread_mutex_unlock(&s->early.lock);
}

bool
send_early_put(struct sender *s, const unsigned char *reply, size_t n)
{
  struct early *e = &s->early;

  pthread_mutex_lock(&e->lock);
  const unsigned len = atomic_load_explicit(&e->len, memory_order_relaxed);
  const bool fits = e->stream && n <= sizeof e->bytes - e->at - len;
  if (fits) {
    memcpy(e->bytes + e->at + len, reply, n);
    atomic_store_explicit(&e->len, len + (unsigned)n, memory_order_relaxed);
  }
  pthread_mutex_unlock(&e->lock);
  return fits;
}

/* A stream that is broken is the loop's business. */
void
send_early(struct sender *s)
{
  if (atomic_load_explicit(&s->early.len, memory_order_relaxed) == 0)
    return;
  pthread_mutex_lock(&s->early.lock);
  if (s->early.stream)
    send_early_bytes(&s->early, s->early.stream);
  pthread_mutex_unlock(&s->early.lock);
}
