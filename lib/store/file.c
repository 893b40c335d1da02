/* SPDX-License-Identifier: BSD-2-Clause */
/* file.c: the calls that every kind of file shares.  Owns nothing; any
 * thread. */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "store/file.h"

void
vhd_io_perform(struct vhd_io *io)
{
  io->result = io->file->ops->perform(io->file, io);
}

static int
perform(struct vhd_file *file, enum vhd_io_kind kind, void *buf, uint64_t off,
        uint64_t len, unsigned flags)
{
  struct vhd_io io = {
    .file = file,
    .buf = buf,
    .off = off,
    .len = len,
    .fd = file->fd,
    .kind = (uint8_t)kind,
    .flags = (uint8_t)flags,
  };
  vhd_io_perform(&io);
  return io.result;
}

int
file_read(struct vhd_file *file, void *buf, size_t len, uint64_t off)
{
  return perform(file, VHD_IO_READ, buf, off, len, 0);
}

int
file_write(struct vhd_file *file, const void *buf, size_t len, uint64_t off)
{
  return perform(file, VHD_IO_WRITE, (void *)(uintptr_t)buf, off, len, 0);
}

int
file_do(struct vhd_file *file, enum vhd_io_kind kind, uint64_t off,
        uint64_t len, unsigned flags)
{
  return perform(file, kind, NULL, off, len, flags);
}

int
file_size(struct vhd_file *file, uint64_t *size)
{
  return file->ops->size(file, size);
}

uint64_t
file_next_data(struct vhd_file *file, uint64_t off)
{
  if (file->fd < 0)
    return off;
  off_t data = lseek(file->fd, (off_t)off, SEEK_DATA);
  if (data >= 0)
    return (uint64_t)data;
  return errno == ENXIO ? UINT64_MAX : off;
}

void
file_close(struct vhd_file *file)
{
  if (file != NULL)
    file->ops->close(file);
}
