/* SPDX-License-Identifier: BSD-2-Clause */
/* inplace.c: see inplace.h. */
#include "config.h"

#include <errno.h>

#include "base/arith.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/rules.h"
#include "image/open.h"
#include "ops/inplace.h"
#include "ops/walk.h"
#include "store/journal_file.h"

/* Most blocks that hold something begin with it. */
#define FIRST_LOOK (16U << 10)

void
inplace_take_stamp(struct inplace *in)
{
  in->stamp = in->image->top->stamp;
  in->dated = in->stamp.ctime != 0;
}

int
inplace_begin(const char *path, const struct vhd_open_options *opt,
              struct inplace *in, struct vhd_error *err)
{
  *in = (struct inplace){ 0 };
  int r = vhd_open(path, opt, &in->image, err);
  if (r < 0)
    return r;
  inplace_take_stamp(in);
  return 0;
}

int
inplace_open(const char *path, const struct vhd_open_options *opt,
             const char *done, struct inplace *in, struct vhd_error *err)
{
  if (opt->flags & (VHD_OPEN_READONLY | VHD_OPEN_RAW))
    return vhd_fail(err, VHD_ARGUMENT, EINVAL,
                    "%s: a raw file, or one that is not to be written, cannot "
                    "be %s", path, done);
  int r = inplace_begin(path, opt, in, err);
  if (r < 0 || !in->image->top->footer.saved_state)
    return r;
  r = vhd_fail(err, VHD_STATE, EBUSY,
               "%s: the state of a virtual machine was saved with it, so it "
               "must not be %s until the machine has gone on and was shut "
               "down", path, done);
  return inplace_close(in, r, true, err);
}

void
inplace_keep_time(const struct inplace *in)
{
  if (in->dated)
    journal_file_keep(&in->image->journal_file, in->stamp.mtime);
}

int
inplace_close(struct inplace *in, int r, bool same, struct vhd_error *err)
{
  struct vhd_file *file = in->image->top->file;
  struct vhd_error late;

  /* What this does is all that changes the file, so that its time is the last
   * thing that is set.  Not where it failed: what the journal has then is
   * replayed only on a file with the times that it notes. */
  int e = image_finish(in->image);
  if ((e == 0 || !RULE(TIME_LAST)) && same && in->dated)
    file_set_time(file, in->stamp.mtime);
  file_size(file, &in->file_size);
  /* To finish once more may change the time, even where nothing can be
   * written. */
  if (e == 0) {
    journal_file_close(&in->image->journal_file, file, true);
    image_free(in->image);
  } else {
    e = vhd_close(in->image, &late);
  }
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

struct looking {
  struct vhd_image *parent; /* of inplace_is_void(); NULL: none */
  uint8_t *buf;
};

/* 0 where it is zeros, 1 where it is not, or -errno. */
static int
look_at_zeros(void *opaque, const struct vhd_run *run, uint64_t off)
{
  const struct looking *l = opaque;
  int r = run->kind == VHD_RUN_DATA
            ? inplace_file_is_zero(run->file, run->file_off, run->len, l->buf)
            : 1;

  (void)off;
  return r < 0 ? r : !r;
}

int
inplace_disk_is_zero(struct vhd_image *image, uint64_t off, uint64_t len,
                     uint8_t *buf)
{
  const uint64_t end = MIN(off + len, vhd_size(image));
  struct looking l = { .buf = buf };

  if (off >= end)
    return 1;
  int r = walk_runs(image, off, end - off, look_at_zeros, &l, NULL);
  return r < 0 ? r : !r;
}

static int
look_at_void(void *opaque, const struct vhd_run *run, uint64_t off)
{
  const struct looking *l = opaque;

  if (run->depth > 0 || run->kind != VHD_RUN_DATA)
    return 0; /* it says nothing, or nobody does */
  int r = inplace_file_is_zero(run->file, run->file_off, run->len, l->buf);
  if (r == 1 && l->parent != NULL)
    r = inplace_disk_is_zero(l->parent, off, run->len, l->buf);
  return r < 0 ? r : !r;
}

static int
look_at_hidden(void *opaque, const struct vhd_run *run, uint64_t off)
{
  const struct looking *l = opaque;

  if (run->depth > 0 || run->kind != VHD_RUN_DATA || l->parent == NULL)
    return 0;
  const int r = inplace_disk_is_zero(l->parent, off, run->len, l->buf);
  return r < 0 ? r : !r;
}

static int
look(struct vhd_image *image, uint64_t off, uint64_t len, uint8_t *buf,
     int (*at)(void *opaque, const struct vhd_run *run, uint64_t off))
{
  struct looking l = { .parent = vhd_parent(image), .buf = buf };
  const int r = walk_runs(image, off, len, at, &l, NULL);

  return r < 0 ? r : !r;
}

int
inplace_hides_nothing(struct vhd_image *image, uint64_t off, uint64_t len,
                      uint8_t *buf)
{
  return look(image, off, len, buf, look_at_hidden);
}

int
inplace_is_void(struct vhd_image *image, uint64_t off, uint64_t len,
                uint8_t *buf)
{
  return look(image, off, len, buf, look_at_void);
}
