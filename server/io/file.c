/* SPDX-License-Identifier: BSD-2-Clause */
/* file.c: what is known of a file.
 *
 * May a loop touch it itself?  That is known by the file system it lies on.
 * Asking (fstatfs) may hang where the file system does, so it is asked by a
 * queue's thread, before which the file counts as foreign.
 *
 * Is a range in memory?  A page counts as cached from when its reading begins.
 * Any thread. */
#include "config.h"

#include <linux/magic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "io/engine.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#ifndef ZFS_SUPER_MAGIC
#define ZFS_SUPER_MAGIC 0x2fc12fc1
#endif

static const struct {
  uint32_t magic;
  enum io_class class;
} known[] = {
  { EXT4_SUPER_MAGIC, IO_LOCAL },  { XFS_SUPER_MAGIC, IO_LOCAL },
  { BTRFS_SUPER_MAGIC, IO_LOCAL }, { F2FS_SUPER_MAGIC, IO_LOCAL },
  { TMPFS_MAGIC, IO_MEMORY },
};

enum io_class
io_class_find(struct io_queue *queue, int fd)
{
  enum io_class class = io_class_of(queue, fd);
  struct statfs fs;

  if (class != IO_UNKNOWN || fd < 0)
    return class;
  class = IO_FOREIGN;
  if (fstatfs(fd, &fs) == 0)
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
      if ((uint32_t)fs.f_type == known[i].magic)
        class = known[i].class;
  atomic_store_explicit(&queue->class[fd % IO_CLASS_SLOTS],
                        (uint32_t)fd << 8 | class, memory_order_relaxed);
  return class;
}

/* --------------------------------------------------------------- page cache */

#define PAGE 4096

/* cachestat, since Linux 6.5; its structures are not in our headers. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

struct cachestat_range_arg {
  uint64_t off, len;
};

struct cachestat_result {
  uint64_t nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted;
};

bool
io_is_cached(enum io_class class, int fd, uint64_t off, uint64_t len)
{
  const uint64_t first = off / PAGE, last = (off + len - 1) / PAGE;
  struct cachestat_range_arg range = { .off = off, .len = len };
  struct cachestat_result stat;

  if (class == IO_MEMORY)
    return true;
  if (class != IO_LOCAL || syscall(SYS_cachestat, fd, &range, &stat, 0) != 0)
    return false;
  return stat.nr_cache >= last - first + 1;
}

bool
io_reads_first(enum io_class class, const struct vhd_io *io)
{
  const uint64_t end = io->off + io->len;

  if (io->off % PAGE != 0 && !io_is_cached(class, io->fd, io->off, 1))
    return true;
  return end % PAGE != 0 && !io_is_cached(class, io->fd, end - 1, 1);
}
