/* SPDX-License-Identifier: BSD-2-Clause */
/* compare.c: vhd_compare(): do two disks of any kind have the same content?
 * Where both have holes nothing is read; where one has, the other is looked at
 * for anything but zeros.  One thread a call. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/progress.h"
#include "ops/copy.h"
#include "ops/walk.h"
#include "vhdkit.h"

/* One of the two disks. */
struct side {
  struct vhd_image *image;
  struct walk walk;
  struct piece piece; /* what is left of it */
  uint8_t *buf;       /* its data */
  size_t at;          /* in buf: where that begins */
};

static void
close_side(struct side *s)
{
  vhd_close(s->image, NULL); /* it was only read */
  free(s->buf);
}

static int
open_side(struct side *s, const char *path, const struct vhd_open_options *opt,
          struct vhd_error *err)
{
  s->buf = malloc(COPY_CHUNK);
  if (s->buf == NULL)
    return vhd_fail_sys(err, ENOMEM, "%s", path);
  return walk_open(path, opt, &s->image, err);
}

static int
fill(struct side *s, struct vhd_error *err)
{
  if (s->piece.len > 0)
    return 1;
  int r = walk_next(&s->walk, COPY_CHUNK, &s->piece, err);
  if (r <= 0)
    return r;
  s->at = 0;
  r = s->piece.file != NULL ? walk_read(&s->walk, &s->piece, s->buf, err) : 0;
  return r < 0 ? r : 1;
}

static void
take(struct side *s, uint64_t n)
{
  s->piece.len -= n;
  if (s->piece.file != NULL)
    s->at += (size_t)n;
}

/* The first of n bytes that differ; n if none does. */
static size_t
find_difference(const uint8_t *a, const uint8_t *b, size_t n)
{
  size_t i = 0;

  while (i < n && a[i] == b[i])
    i++;
  return i;
}

static size_t
find_data(const uint8_t *p, size_t n)
{
  size_t i = 0;

  while (i < n && p[i] == 0)
    i++;
  return i;
}

/* The same for what both have now. */
static uint64_t
compare_piece(const struct side *a, const struct side *b, uint64_t n)
{
  const uint8_t *p = a->buf + a->at, *q = b->buf + b->at;

  if (a->piece.file != NULL && b->piece.file != NULL)
    return memcmp(p, q, (size_t)n) == 0 ? n : find_difference(p, q, (size_t)n);
  if (a->piece.file == NULL && b->piece.file == NULL)
    return n;
  if (a->piece.file == NULL)
    p = q;
  return bytes_all(p, (size_t)n, 0) ? n : find_data(p, (size_t)n);
}

static int
compare_sides(struct side *a, struct side *b,
              struct vhd_compare_result *result, struct progress *progress,
              struct vhd_error *err)
{
  uint64_t at = 0;

  for (;;) {
    int r = fill(a, err);
    if (r > 0)
      r = fill(b, err);
    if (r <= 0)
      return r;
    const uint64_t n = MIN(a->piece.len, b->piece.len);
    const uint64_t same = compare_piece(a, b, n);
    if (same < n) {
      result->differ = VHD_DIFFER_CONTENT;
      result->offset = at + same;
      return 0;
    }
    take(a, n);
    take(b, n);
    at += n;
    r = progress_add(progress, n, err);
    if (r < 0)
      return r;
  }
}

static int
compare(struct side *a, struct side *b, const char *path,
        const struct vhd_compare_options *opt,
        struct vhd_compare_result *result, struct vhd_error *err)
{
  struct progress progress;

  result->size[0] = vhd_size(a->image);
  result->size[1] = vhd_size(b->image);
  const uint64_t size = MAX(result->size[0], result->size[1]);
  int r = progress_begin(&progress, &opt->progress, path, size, err);
  if (r < 0)
    return r;
  if (opt->flags & VHD_COMPARE_SIZES && result->size[0] != result->size[1]) {
    result->differ = VHD_DIFFER_SIZE;
    result->offset = MIN(result->size[0], result->size[1]);
    return 0;
  }
  walk_begin(&a->walk, a->image, size);
  walk_begin(&b->walk, b->image, size);
  r = compare_sides(a, b, result, &progress, err);
  return r < 0 ? r : progress_end(&progress, err);
}

int
vhd_compare(const char *one, const char *other,
            const struct vhd_compare_options *opt,
            struct vhd_compare_result *result, struct vhd_error *err)
{
  static const struct vhd_compare_options defaults;
  __attribute__((cleanup(close_side))) struct side a = { .image = NULL };
  __attribute__((cleanup(close_side))) struct side b = { .image = NULL };

  opt = opt != NULL ? opt : &defaults;
  *result = (struct vhd_compare_result){ .differ = VHD_DIFFER_NOT };
  int r = vhd_check_flags(opt->flags, VHD_COMPARE_SIZES, one, err);
  if (r == 0)
    r = CHECK_ROOM(opt, one, err);
  if (r == 0)
    r = open_side(&a, one, &opt->open[0], err);
  if (r == 0)
    r = open_side(&b, other, &opt->open[1], err);
  return r < 0 ? r : compare(&a, &b, one, opt, result, err);
}
