/* SPDX-License-Identifier: BSD-2-Clause */
/* patched.c: see patched.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "store/patched.h"

static uint64_t
end_of(const struct patch *p)
{
  return p->off + p->len;
}

/* The first that ends behind this place. */
static size_t
find(const struct patched *over, uint64_t off)
{
  size_t lo = 0, hi = over->n;

  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (end_of(&over->patch[mid]) <= off)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

/* ------------------------------------------------------------------ reading */

static int
patched_size(struct vhd_file *file, uint64_t *size)
{
  const struct patched *over = (struct patched *)file;

  int e = file_size(over->below, size);
  *size = MAX(*size, over->least);
  if (over->n > 0)
    *size = MAX(*size, end_of(&over->patch[over->n - 1]));
  return e;
}

/* What lies behind the end of the file below, up to a change, are zeros. */
static int
read_below(const struct patched *over, const struct vhd_io *io)
{
  uint64_t size;

  int e = file_size(over->below, &size);
  if (e < 0)
    return e;
  const uint64_t n = io->off < size ? MIN(io->len, size - io->off) : 0;
  memset((uint8_t *)io->buf + n, 0, io->len - n);
  return n > 0 ? file_read(over->below, io->buf, n, io->off) : 0;
}

static int
patched_perform(struct vhd_file *file, struct vhd_io *io)
{
  const struct patched *over = (struct patched *)file;
  uint64_t size;

  if (io->kind != VHD_IO_READ)
    return -EROFS;
  int e = patched_size(file, &size);
  if (e == 0 && !range_fits(io->off, io->len, size))
    e = -EIO;
  if (e == 0)
    e = read_below(over, io);
  for (size_t i = find(over, io->off); e == 0 && i < over->n; i++) {
    const struct patch *p = &over->patch[i];
    const uint64_t from = MAX(io->off, p->off);
    const uint64_t end = MIN(io->off + io->len, end_of(p));
    if (from >= end)
      break;
    uint8_t *to = (uint8_t *)io->buf + (from - io->off);
    if (p->bytes != NULL)
      memcpy(to, p->bytes + (from - p->off), end - from);
    else
      memset(to, 0, end - from);
  }
  return e;
}

/* ------------------------------------------------------------------ making */

void
patched_init(struct patched *over, struct vhd_file *below)
{
  static const struct file_ops ops = {
    .perform = patched_perform,
    .size = patched_size,
  };

  *over = (struct patched){ .below = below };
  over->file = (struct vhd_file){
    .ops = &ops, .fd = -1, .path = below->path, .dev = below->dev,
    .ino = below->ino,
  };
}

void
patched_free(struct patched *over)
{
  for (size_t i = 0; i < over->n; i++)
    free(over->patch[i].bytes);
  free(over->patch);
}

/* Makes room for n more. */
static int
reserve(struct patched *over, size_t n)
{
  if (over->n + n <= over->room)
    return 0;
  size_t room = MAX(2 * over->room, over->n + n);
  struct patch *more = realloc(over->patch, room * sizeof *more);
  if (more == NULL)
    return -ENOMEM;
  over->patch = more;
  over->room = room;
  return 0;
}

/* A part of bytes, or of zeros.  0 or -ENOMEM. */
static int
copy_part(struct patch *to, const uint8_t *bytes, uint64_t skip, uint64_t len,
          uint64_t off)
{
  *to = (struct patch){ .off = off, .len = len };
  if (bytes == NULL)
    return 0;
  to->bytes = malloc(len);
  if (to->bytes == NULL)
    return -ENOMEM;
  memcpy(to->bytes, bytes + skip, len);
  return 0;
}

static void
replace(struct patched *over, size_t at, size_t nold, const struct patch *by,
        size_t nnew)
{
  for (size_t i = 0; i < nold; i++)
    free(over->patch[at + i].bytes);
  memmove(&over->patch[at + nnew], &over->patch[at + nold],
          (over->n - at - nold) * sizeof *over->patch);
  memcpy(&over->patch[at], by, nnew * sizeof *by);
  over->n += nnew - nold;
}

int
patched_change(struct patched *over, const void *bytes, uint64_t len,
               uint64_t off)
{
  const uint64_t end = off + len;
  struct patch by[3]; /* what is left of the first before it; it; of the last */
  size_t at = find(over, off), to = at, n = 0;

  if (len == 0)
    return 0;
  int e = reserve(over, 2);
  while (to < over->n && over->patch[to].off < end)
    to++;
  if (e == 0 && to > at && over->patch[at].off < off) {
    const struct patch *p = &over->patch[at];
    e = copy_part(&by[n++], p->bytes, 0, off - p->off, p->off);
  }
  if (e == 0)
    e = copy_part(&by[n++], bytes, 0, len, off);
  if (e == 0 && to > at && end_of(&over->patch[to - 1]) > end) {
    const struct patch *p = &over->patch[to - 1];
    e = copy_part(&by[n++], p->bytes, end - p->off, end_of(p) - end, end);
  }
  if (e == 0)
    replace(over, at, to - at, by, n);
  else
    while (n > 0)
      free(by[--n].bytes);
  return e;
}

int
patched_add(struct patched *over, const void *bytes, uint64_t len,
            uint64_t off)
{
  size_t at = find(over, off);

  if (at < over->n && over->patch[at].off < off + len)
    return -EINVAL;
  return patched_change(over, bytes, len, off);
}
