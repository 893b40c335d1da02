/* SPDX-License-Identifier: BSD-2-Clause */
/* file_class.c: may a loop touch this file itself?  Known by the file system it
 * lies on.  Asking (fstatfs) may hang where the file system does, so it is
 * asked by a queue's thread, before which the file counts as foreign. */
#include "config.h"

#include <linux/magic.h>
#include <stddef.h>
#include <sys/vfs.h>

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
  { EXT4_SUPER_MAGIC, IO_LOCAL },
  { XFS_SUPER_MAGIC, IO_LOCAL },
  { BTRFS_SUPER_MAGIC, IO_LOCAL },
  { F2FS_SUPER_MAGIC, IO_LOCAL },
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
