/* SPDX-License-Identifier: BSD-2-Clause */
/* disk_target.c: see disk_target.h. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "base/arith.h"
#include "base/error.h"
#include "ops/disk_target.h"

/* So much is zeroed between two reports. */
#define ZERO_STEP ((uint64_t)64 << 20)

static int
failed(const struct disk_target *t, int r, uint64_t off, struct vhd_error *err)
{
  return vhd_fail_sys(err, -r, "%s: cannot write at %" PRIu64 "; what was "
                      "there is partly overwritten", t->path, off);
}

/* Zeros from what has been written up to there. */
static int
zero_up_to(struct disk_target *t, uint64_t end, struct vhd_error *err)
{
  int r = 0;

  while (!t->blank && r == 0 && t->at < end) {
    const uint64_t n = MIN(ZERO_STEP, end - t->at);
    r = t->disk->zero(t->disk->opaque, n, t->at);
    if (r < 0)
      return failed(t, r, t->at, err);
    t->at += n;
    r = progress_add(t->progress, 0, err);
  }
  if (r == 0)
    t->at = end;
  return r;
}

static int
write_disk(struct copy_target *to, const void *buf, size_t len, uint64_t off,
           struct vhd_error *err)
{
  struct disk_target *t = (struct disk_target *)to;
  int r = zero_up_to(t, off, err);

  if (r < 0)
    return r;
  r = t->disk->write(t->disk->opaque, buf, len, off);
  t->at = off + len;
  return r < 0 ? failed(t, r, off, err) : 0;
}

static bool
is_blank(const struct vhd_disk *disk)
{
  return disk->next_data && disk->next_data(disk->opaque, 0) >= disk->size;
}

int
disk_target_begin(struct disk_target *t, const struct vhd_disk *disk,
                  const char *path, uint64_t size, bool overwrite,
                  struct progress *progress, struct vhd_error *err)
{
  *t = (struct disk_target){
    .to.write = write_disk,
    .disk = disk,
    .path = path,
    .progress = progress,
    .blank = is_blank(disk),
  };
  if (!disk->write || !disk->zero || !disk->flush)
    return vhd_fail(err, VHD_READ_ONLY, EROFS, "%s: cannot be written to",
                    path);
  if (disk->size < size)
    return vhd_fail(err, VHD_ARGUMENT, ENOSPC,
                    "%s: this disk has %" PRIu64 " bytes, and %" PRIu64 " are "
                    "to be written; nothing was", path, disk->size, size);
  if (!t->blank && !overwrite)
    return vhd_fail(err, VHD_ARGUMENT, EEXIST,
                    "%s: this disk is not known to be empty, and overwriting "
                    "was not asked for", path);
  return 0;
}

int
disk_target_end(struct disk_target *t, struct vhd_error *err)
{
  int r = zero_up_to(t, t->disk->size, err);

  if (r < 0)
    return r;
  r = t->disk->flush(t->disk->opaque);
  return r < 0 ? vhd_fail_sys(err, -r, "%s: cannot be made durable", t->path)
               : 0;
}
