/* SPDX-License-Identifier: BSD-2-Clause */
/* buffer.c: see buffer.h.  Owns the buffers that are in the pool. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/buffer.h"

/* No more than this stays in a pool. */
#define CACHED_MAX ((size_t)16 << 20)
/* From this class on buffers come straight from the system, and go back there:
 * malloc would keep them. */
#define MAPPED_CLASS 5

static_assert(sizeof(struct buf) + BUF_HEADROOM <= BUF_OFFSET, "headroom");

void
bufs_init(struct bufs *bufs)
{
  *bufs = (struct bufs){ .cached = 0 };
}

static struct buf *
buf_new(unsigned class)
{
  const size_t size = ((size_t)BUF_PAGE << class) + BUF_PAGE;
  void *p;

  if (class >= MAPPED_CLASS) {
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
             -1, 0);
    if (p == MAP_FAILED)
      return NULL;
    /* Or the first byte may take 2 MiB. */
    madvise(p, size, MADV_NOHUGEPAGE);
  } else if (posix_memalign(&p, BUF_PAGE, size) != 0) {
    return NULL;
  }
  struct buf *buf = p;
  buf->class = class;
  buf->resident = class >= MAPPED_CLASS ? BUF_PAGE : (uint32_t)size;
  return buf;
}

static void
buf_delete(struct buf *buf)
{
  if (buf->class >= MAPPED_CLASS)
    munmap(buf, buf_footprint(buf));
  else
    free(buf);
}

static inline struct buf *
get(struct bufs *bufs, size_t size)
{
  unsigned class = 0;

  assert(size <= BUF_MAX);
  if (size > BUF_PAGE)
    class = 64 - __builtin_clzll((size - 1) / BUF_PAGE);
  struct buf *buf = bufs->free[class];
  if (buf) {
    bufs->free[class] = buf->next;
    bufs->cached -= buf_footprint(buf);
    if (--bufs->nfree[class] < bufs->low[class])
      bufs->low[class] = bufs->nfree[class];
  } else {
    buf = buf_new(class);
    if (!buf)
      return NULL;
  }
  buf->refs = 1;
  return buf;
}

struct buf *
buf_get_empty(struct bufs *bufs, size_t size)
{
  return get(bufs, size);
}

struct buf *
buf_get(struct bufs *bufs, size_t size)
{
  struct buf *buf = get(bufs, size);

  if (buf)
    buf->resident = (uint32_t)buf_footprint(buf);
  return buf;
}

void
buf_unref(struct bufs *bufs, struct buf *buf)
{
  if (!buf)
    return;
  assert(buf->refs > 0);
  if (--buf->refs > 0)
    return;
  const size_t size = buf_footprint(buf);
  if (bufs->cached + size > CACHED_MAX) {
    buf_delete(buf);
    return;
  }
  buf->next = bufs->free[buf->class];
  bufs->free[buf->class] = buf;
  bufs->nfree[buf->class]++;
  bufs->cached += size;
}

static void
drop(struct bufs *bufs, unsigned class, uint32_t n)
{
  while (n-- > 0) {
    struct buf *buf = bufs->free[class];
    bufs->free[class] = buf->next;
    bufs->nfree[class]--;
    bufs->cached -= buf_footprint(buf);
    buf_delete(buf);
  }
}

void
bufs_trim(struct bufs *bufs)
{
  for (unsigned i = 0; i < BUF_CLASSES; i++) {
    drop(bufs, i, bufs->low[i]);
    bufs->low[i] = bufs->nfree[i];
  }
}

void
bufs_clear(struct bufs *bufs)
{
  for (unsigned i = 0; i < BUF_CLASSES; i++) {
    drop(bufs, i, bufs->nfree[i]);
    bufs->low[i] = 0;
  }
}
