/* SPDX-License-Identifier: BSD-2-Clause */
/* inplace.c: see inplace.h. */
#include "config.h"

#include <errno.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/error.h"
#include "image/open.h"
#include "ops/inplace.h"

/* Most blocks that hold something begin with it. */
#define FIRST_LOOK (16U << 10)
#define RUNS 32

int
inplace_open(const char *path, const struct vhd_open_options *opt,
             const char *done, struct inplace *in, struct vhd_error *err)
{
  *in = (struct inplace){ 0 };
  if (opt->flags & (VHD_OPEN_READONLY | VHD_OPEN_RAW))
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: a raw file, or one that is not to be written, cannot "
                    "be %s", path, done);
  int r = vhd_open(path, opt, &in->image, err);
  if (r < 0)
    return r;
  const struct layer *top = in->image->top;
  in->dated = file_stamp(top->file, &in->stamp) == 0;
  if (!top->footer.saved_state)
    return 0;
  r = vhd_fail(err, VHD_STATE, EBUSY,
               "%s: the state of a virtual machine was saved with it, so it "
               "must not be %s until the machine has gone on and was shut "
               "down", path, done);
  return inplace_close(in, r, true, err);
}

int
inplace_close(struct inplace *in, int r, bool same, struct vhd_error *err)
{
  struct vhd_file *file = in->image->top->file;
  struct vhd_error late;

  /* What this does is all that changes the file, so that its time is the last
   * thing that is set. */
  int e = image_finish(in->image);
  if (e == 0 && same && in->dated)
    file_set_time(file, in->stamp.mtime);
  file_size(file, &in->file_size);
  e = vhd_close(in->image, &late);
  in->image = NULL;
  if (r == 0 && e < 0 && err != NULL)
    *err = late;
  return r < 0 ? r : e;
}

/* -------------------------------------------------------------------- zeros */

int
inplace_file_is_zero(struct vhd_file *file, uint64_t off, uint64_t len,
                     uint8_t *buf)
{
  const uint64_t end = off + len;
  uint64_t most = FIRST_LOOK;

  while (off < end) {
    off = MAX(off, file_next_data(file, off));
    if (off >= end)
      break;
    const size_t n = (size_t)MIN(end - off, most);
    int r = file_read(file, buf, n, off);
    if (r < 0)
      return r;
    if (!bytes_all(buf, n, 0))
      return 0;
    off += n;
    most = INPLACE_CHUNK;
  }
  return 1;
}

int
inplace_disk_is_zero(struct vhd_image *image, uint64_t off, uint64_t len,
                     uint8_t *buf)
{
  const uint64_t end = MIN(off + len, vhd_size(image));
  struct vhd_run run[RUNS];

  while (off < end) {
    unsigned n = RUNS;
    int r = vhd_map(image, end - off, off, run, &n);
    if (r < 0)
      return r;
    for (unsigned i = 0; i < n; i++) {
      if (run[i].kind == VHD_RUN_DATA)
        r = inplace_file_is_zero(run[i].file, run[i].file_off, run[i].len,
                                 buf);
      else
        r = 1;
      if (r != 1)
        return r;
      off += run[i].len;
    }
  }
  return 1;
}

/* One run of its map. */
static int
is_void(struct vhd_image *image, const struct vhd_run *run, uint64_t off,
        uint8_t *buf)
{
  if (run->depth > 0 || run->kind != VHD_RUN_DATA)
    return 1; /* it says nothing, or nobody does */
  int r = inplace_file_is_zero(run->file, run->file_off, run->len, buf);
  if (r == 1 && vhd_parent(image) != NULL)
    r = inplace_disk_is_zero(vhd_parent(image), off, run->len, buf);
  return r;
}

int
inplace_is_void(struct vhd_image *image, uint64_t off, uint64_t len,
                uint8_t *buf)
{
  const uint64_t end = off + len;
  struct vhd_run run[RUNS];

  while (off < end) {
    unsigned n = RUNS;
    int r = vhd_map(image, end - off, off, run, &n);
    if (r < 0)
      return r;
    for (unsigned i = 0; i < n; i++) {
      r = is_void(image, &run[i], off, buf);
      if (r != 1)
        return r;
      off += run[i].len;
    }
  }
  return 1;
}
