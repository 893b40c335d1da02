/* SPDX-License-Identifier: BSD-2-Clause */
/* extents.c: see extents.h.
 *
 * SEEK_DATA takes space that was set aside for data where pages of it are in
 * the cache, which to have read it is enough for.  FIEMAP tells the two apart;
 * asked to sync first, it knows of everything that was written.  Where there is
 * no FIEMAP (tmpfs, network file systems), SEEK_DATA is as good as it gets. */
#include "config.h"

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/arith.h"
#include "store/extents.h"

#define EXTENTS_AT_ONCE 128

/* What of an extent lies in the range and was written. */
static uint64_t
written(const struct fiemap_extent *extent, uint64_t off, uint64_t end)
{
  uint64_t from = MAX(extent->fe_logical, off);
  uint64_t to = MIN(extent->fe_logical + extent->fe_length, end);

  return extent->fe_flags & FIEMAP_EXTENT_UNWRITTEN || to <= from ? 0
                                                                  : to - from;
}

/* 0 or -errno. */
static int
ask_fiemap(int fd, struct fiemap *map, uint64_t off, uint64_t end,
           uint64_t *data)
{
  *data = 0;
  for (uint64_t at = off; at < end;) {
    map->fm_start = at;
    map->fm_length = end - at;
    map->fm_flags = at == off ? FIEMAP_FLAG_SYNC : 0;
    map->fm_extent_count = EXTENTS_AT_ONCE;
    map->fm_mapped_extents = 0;
    if (ioctl(fd, FS_IOC_FIEMAP, map) < 0)
      return -errno;
    if (map->fm_mapped_extents == 0)
      break;
    for (uint32_t i = 0; i < map->fm_mapped_extents; i++)
      *data += written(&map->fm_extents[i], at, end);
    const struct fiemap_extent *last =
      &map->fm_extents[map->fm_mapped_extents - 1];
    uint64_t next = last->fe_logical + last->fe_length;
    if (last->fe_flags & FIEMAP_EXTENT_LAST || next <= at)
      break;
    at = next;
  }
  return 0;
}

static uint64_t
ask_seek(int fd, uint64_t off, uint64_t end)
{
  uint64_t data = 0;

  while (off < end) {
    off_t from = lseek(fd, (off_t)off, SEEK_DATA);
    if (from < 0)
      return errno == ENXIO ? data : data + (end - off);
    if ((uint64_t)from >= end)
      return data;
    off_t to = lseek(fd, from, SEEK_HOLE);
    if (to < 0 || (uint64_t)to > end)
      to = (off_t)end;
    data += (uint64_t)(to - from);
    off = (uint64_t)to;
  }
  return data;
}

uint64_t
file_data_within(const struct vhd_file *file, uint64_t off, uint64_t len)
{
  uint64_t data = len;

  if (file->fd < 0 || len == 0)
    return data;
  struct fiemap *map = malloc(sizeof *map + EXTENTS_AT_ONCE *
                                              sizeof map->fm_extents[0]);
  if (map == NULL || ask_fiemap(file->fd, map, off, off + len, &data) < 0)
    data = ask_seek(file->fd, off, off + len);
  free(map);
  return data;
}
