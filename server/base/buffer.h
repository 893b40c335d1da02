/* SPDX-License-Identifier: BSD-2-Clause */
/* buffer.h: buffers for payloads and replies, on demand, from a pool.
 *
 * A pool belongs to one loop and is used by its thread alone (the bytes of a
 * buffer may be filled by an engine meanwhile).  Sizes are powers of two of
 * pages, and one page on top.
 *
 * Where a buffer begins within its page matters up to ten times for the copy
 * out of the page cache on some processors: 64 bytes behind a page's beginning
 * is good, 1 to 31 bytes is bad.  .data lies there, with BUF_HEADROOM writable
 * bytes before it, for the header of a reply. */
#ifndef SERVER_BASE_BUFFER_H
#define SERVER_BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#define BUF_PAGE 4096
#define BUF_OFFSET 64
#define BUF_HEADROOM 40
#define BUF_CLASSES 15
/* The longest buffer: a payload of 32 MiB. */
#define BUF_MAX ((size_t)BUF_PAGE << (BUF_CLASSES - 1))

/* A buffer's own beginning. */
struct buf {
  struct buf *next;
  uint32_t refs;
  uint32_t class;
  uint32_t resident; /* bytes from its beginning that memory stands behind */
};

struct bufs {
  struct buf *free[BUF_CLASSES];
  uint32_t nfree[BUF_CLASSES];
  uint32_t low[BUF_CLASSES]; /* least nfree since the last trim */
  size_t cached;             /* bytes in all free lists */
};

static inline unsigned char *
buf_data(struct buf *buf)
{
  return (unsigned char *)buf + BUF_OFFSET;
}

/* Bytes from .data on. */
static inline size_t
buf_size(const struct buf *buf)
{
  return ((size_t)BUF_PAGE << buf->class) + BUF_PAGE - BUF_OFFSET;
}

/* What it takes up. */
static inline size_t
buf_footprint(const struct buf *buf)
{
  return ((size_t)BUF_PAGE << buf->class) + BUF_PAGE;
}

void bufs_init(struct bufs *bufs);

/* At least size (<= BUF_MAX) bytes, not zeroed, with one reference; NULL where
 * memory is short. */
struct buf *buf_get(struct bufs *bufs, size_t size);

/* The same, for bytes that come little by little: .resident is what is known to
 * be, not all of it.  Who fills it says so by buf_touch(). */
struct buf *buf_get_empty(struct bufs *bufs, size_t size);

/* Bytes up to n behind .data have been written. */
static inline void
buf_touch(struct buf *buf, size_t n)
{
  const size_t end = (BUF_OFFSET + n + BUF_PAGE - 1) & ~(size_t)(BUF_PAGE - 1);

  if (end > buf->resident)
    buf->resident = (uint32_t)end;
}

static inline struct buf *
buf_ref(struct buf *buf)
{
  buf->refs++;
  return buf;
}

/* NULL is fine. */
void buf_unref(struct bufs *bufs, struct buf *buf);

/* Gives back what was in the pool all the time since the last call. */
void bufs_trim(struct bufs *bufs);

/* Gives everything back that is in the pool. */
void bufs_clear(struct bufs *bufs);

#endif
