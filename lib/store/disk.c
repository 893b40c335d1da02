/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.c: see disk.h.  Nobody else is to be kept out, nothing lies beside it,
 * and it never changes: so it has no locks, neighbours and stamp. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/disk.h"

struct disk_file {
  struct vhd_file file; /* first */
  const struct vhd_disk *disk;
};

static const struct vhd_disk *
disk_of(struct vhd_file *file)
{
  return ((struct disk_file *)file)->disk;
}

static int
disk_perform(struct vhd_file *file, struct vhd_io *io)
{
  const struct vhd_disk *disk = disk_of(file);

  return io->kind == VHD_IO_READ
           ? disk->read(disk->opaque, io->buf, (size_t)io->len, io->off)
           : -EROFS;
}

static int
disk_size(struct vhd_file *file, uint64_t *size)
{
  *size = disk_of(file)->size;
  return 0;
}

static uint64_t
disk_next_data(struct vhd_file *file, uint64_t off)
{
  const struct vhd_disk *disk = disk_of(file);

  return disk->next_data ? disk->next_data(disk->opaque, off) : off;
}

static void
disk_close(struct vhd_file *file)
{
  free(file->path);
  free(file);
}

static const struct file_ops disk_ops = {
  .perform = disk_perform,
  .size = disk_size,
  .next_data = disk_next_data,
  .close = disk_close,
};

int
disk_open(const struct vhd_disk *disk, const char *path,
          struct vhd_file **file, struct vhd_error *err)
{
  struct disk_file *made = calloc(1, sizeof *made);
  char *copy = strdup(path);

  if (!made || !copy) {
    free(made);
    free(copy);
    return vhd_fail_sys(err, ENOMEM, "%s", path);
  }
  made->file = (struct vhd_file){ .ops = &disk_ops, .fd = -1, .path = copy };
  made->disk = disk;
  *file = &made->file;
  return 0;
}
