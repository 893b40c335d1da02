/* SPDX-License-Identifier: BSD-2-Clause */
/* patched.c: see patched.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "ops/patched.h"

static int
patched_size(struct vhd_file *file, uint64_t *size)
{
  const struct patched *over = (struct patched *)file;

  int e = file_size(over->below, size);
  for (size_t i = 0; i < over->n; i++)
    *size = MAX(*size, over->patch[i].off + over->patch[i].len);
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
  for (size_t i = 0; e == 0 && i < over->n; i++) {
    const struct patch *p = &over->patch[i];
    const uint64_t from = MAX(io->off, p->off);
    const uint64_t end = MIN(io->off + io->len, p->off + p->len);
    if (from < end)
      memcpy((uint8_t *)io->buf + (from - io->off), p->bytes + (from - p->off),
             end - from);
  }
  return e;
}

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

int
patched_add(struct patched *over, const void *bytes, size_t len, uint64_t off)
{
  for (size_t i = 0; i < over->n; i++)
    if (off < over->patch[i].off + over->patch[i].len &&
        over->patch[i].off < off + len)
      return -EINVAL;
  struct patch *more =
    realloc(over->patch, (over->n + 1) * sizeof *over->patch);
  if (more == NULL)
    return -ENOMEM;
  over->patch = more;
  uint8_t *copy = malloc(len);
  if (copy == NULL)
    return -ENOMEM;
  memcpy(copy, bytes, len);
  over->patch[over->n++] = (struct patch){ off, len, copy };
  return 0;
}
