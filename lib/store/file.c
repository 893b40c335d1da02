/* SPDX-License-Identifier: BSD-2-Clause */
/* file.c: the calls that every kind of file shares.  Owns nothing; any
 * thread. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
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

void
file_probe(struct vhd_file *file)
{
  if (file->ops->probe)
    file->ops->probe(file);
}

static int64_t
nanoseconds(struct timespec t)
{
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int
file_allocated(const struct vhd_file *file, uint64_t *bytes)
{
  struct stat st;

  if (file->fd < 0)
    return -ENOTSUP;
  if (fstat(file->fd, &st) < 0)
    return -errno;
  *bytes = (uint64_t)st.st_blocks * 512;
  return 0;
}

int
file_stamp(struct vhd_file *file, struct file_stamp *stamp)
{
  struct stat st;

  if (file->fd < 0)
    return -ENOTSUP;
  if (fstat(file->fd, &st) < 0)
    return -errno;
  stamp->size = (uint64_t)st.st_size;
  stamp->mtime = nanoseconds(st.st_mtim);
  stamp->ctime = nanoseconds(st.st_ctim);
  return 0;
}

int
file_set_time(struct vhd_file *file, int64_t mtime)
{
  const int64_t nsec = (mtime % 1000000000 + 1000000000) % 1000000000;
  const struct timespec times[2] = {
    { .tv_nsec = UTIME_OMIT },
    { .tv_sec = (mtime - nsec) / 1000000000, .tv_nsec = nsec },
  };

  if (file->fd < 0)
    return -ENOTSUP;
  return futimens(file->fd, times) < 0 ? -errno : 0;
}

void
file_begin_sync(struct vhd_file *file)
{
  if (file->fd >= 0)
    sync_file_range(file->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

uint64_t
file_next_data(struct vhd_file *file, uint64_t off)
{
  return file->ops->next_data ? file->ops->next_data(file, off) : off;
}

int
file_lock(struct vhd_file *file, bool writer, struct vhd_error *err)
{
  return file->ops->lock ? file->ops->lock(file, writer, err) : 0;
}

int
file_beside(struct vhd_file *from, const char *name, unsigned nth,
            const struct file_roots *roots, struct vhd_file **file,
            struct vhd_error *err)
{
  if (from->ops->beside)
    return from->ops->beside(from, name, nth, roots, file, err);
  if (err)
    err->code = VHD_OK;
  return -ENOENT;
}

int
file_companion(struct vhd_file *file, enum companion_mode mode,
               struct vhd_file **companion, struct vhd_error *err)
{
  if (file->ops->companion)
    return file->ops->companion(file, mode, companion, err);
  if (err)
    err->code = VHD_OK;
  return mode == COMPANION_MAKE ? -ENOTSUP : -ENOENT;
}

int
file_settle(struct vhd_file *file, bool remove)
{
  return file->ops->settle ? file->ops->settle(file, remove) : -ENOTSUP;
}

void
file_close(struct vhd_file *file)
{
  if (file != NULL)
    file->ops->close(file);
}
