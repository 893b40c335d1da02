/* SPDX-License-Identifier: BSD-2-Clause */
/* page_cache.c: is it in memory?  A page counts as cached from when its reading
 * begins.  Any thread. */
#include "config.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "io/engine.h"

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
  if (class != IO_LOCAL ||
      syscall(SYS_cachestat, fd, &range, &stat, 0) != 0)
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
