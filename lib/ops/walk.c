/* SPDX-License-Identifier: BSD-2-Clause */
/* walk.c: see walk.h. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/error.h"
#include "ops/walk.h"
#include "store/file.h"

static const char *
path_of(struct vhd_image *image)
{
  struct vhd_info info;

  vhd_get_info(image, &info);
  return info.path;
}

void
walk_begin(struct walk *w, struct vhd_image *image, uint64_t size)
{
  *w = (struct walk){ .image = image, .size = size };
}

static int
load_map(struct vhd_image *image, uint64_t off, uint64_t end,
         struct vhd_run *run, unsigned *n, struct vhd_error *err)
{
  *n = WALK_RUNS;
  int r = vhd_map(image, end - off, off, run, n);
  return r < 0 ? vhd_fail_sys(err, -r, "%s: cannot read the metadata for the "
                              "disk at %" PRIu64, path_of(image), off) : 0;
}

int
walk_runs(struct vhd_image *image, uint64_t off, uint64_t len,
          int (*each)(void *opaque, const struct vhd_run *run, uint64_t off),
          void *opaque, struct vhd_error *err)
{
  const uint64_t end = off + len;
  struct vhd_run run[WALK_RUNS];
  int r = 0;

  while (r == 0 && off < end) {
    unsigned n;
    r = load_map(image, off, end, run, &n, err);
    for (unsigned i = 0; r == 0 && i < n; off += run[i++].len)
      r = each(opaque, &run[i], off);
  }
  return r;
}

int
walk_open(const char *path, const struct vhd_open_options *opt,
          struct vhd_image **image, struct vhd_error *err)
{
  struct vhd_open_options open = *opt;

  open.flags |= VHD_OPEN_READONLY;
  if (open.flags & VHD_OPEN_NO_PARENT)
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: what has no parents open cannot be read", path);
  return vhd_open(path, &open, image, err);
}

/* The run that w->at lies in. */
static int
load_runs(struct walk *w, struct vhd_error *err)
{
  const uint64_t end = vhd_size(w->image);

  if (w->i < w->n)
    return 0;
  if (w->at >= end) {
    w->run[0] = (struct vhd_run){ .len = w->size - w->at,
                                  .kind = VHD_RUN_HOLE };
    w->n = 1;
  } else {
    int r = load_map(w->image, w->at, end, w->run, &w->n, err);
    if (r < 0) {
      w->n = 0;
      return r;
    }
  }
  w->i = 0;
  return 0;
}

/* How much of the run is a hole of its file, from its beginning on. */
static uint64_t
file_hole(const struct vhd_run *run)
{
  const uint64_t data = file_next_data(run->file, run->file_off);

  return data > run->file_off ? MIN(data - run->file_off, run->len) : 0;
}

int
walk_next(struct walk *w, uint64_t max, struct piece *piece,
          struct vhd_error *err)
{
  if (w->at >= w->size)
    return 0;
  int r = load_runs(w, err);
  if (r < 0)
    return r;
  struct vhd_run *run = &w->run[w->i];
  const uint64_t hole = run->kind == VHD_RUN_DATA ? file_hole(run) : run->len;
  *piece = (struct piece){ .len = hole };
  if (hole == 0)
    *piece = (struct piece){ MIN(max, run->len), run->file, run->file_off };
  run->len -= piece->len;
  run->file_off += piece->len;
  w->at += piece->len;
  if (run->len == 0)
    w->i++;
  return 1;
}

int
walk_read(const struct walk *w, const struct piece *piece, void *buf,
          struct vhd_error *err)
{
  int r = file_read(piece->file, buf, (size_t)piece->len, piece->file_off);

  return r == 0 ? 0 : vhd_fail_sys(err, -r, "%s: cannot read %" PRIu64
                                   " bytes at %" PRIu64 " of '%s'",
                                   path_of(w->image), piece->len,
                                   piece->file_off, piece->file->path);
}

size_t
data_stretch(const uint8_t *buf, size_t len, size_t grain, bool *zeros)
{
  size_t at = MIN(len, grain);

  *zeros = bytes_all(buf, at, 0);
  while (at < len) {
    const size_t n = MIN(len - at, grain);
    if (bytes_all(buf + at, n, 0) != *zeros)
      break;
    at += n;
  }
  return at;
}
