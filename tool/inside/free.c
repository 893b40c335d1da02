/* SPDX-License-Identifier: BSD-2-Clause */
/* free.c: see free.h. */
#include "config.h"

#include "inside/free.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inside/disk.h"
#include "inside/ext.h"
#include "message.h"

/* Where tables and what tells a file system lie: at the beginning of a disk, at
 * its end, and at the beginning of a partition. */
#define DISK_HEAD (1U << 20)
#define PART_HEAD (128U << 10)

bool
free_can_look(void)
{
  return disk_can_look() && ext_can_look();
}

void
free_map_add(struct free_map *map, uint64_t off, uint64_t len)
{
  if (map->n == map->room) {
    map->room = map->room > 0 ? 2 * map->room : 64;
    map->stretch = reallocarray(map->stretch, map->room, sizeof *map->stretch);
    if (!map->stretch)
      abort();
  }
  map->stretch[map->n++] = (struct free_stretch){ off, len };
}

void
free_map_free(struct free_map *map)
{
  free(map->stretch);
  *map = (struct free_map){ .n = 0 };
}

/* ------------------------------------------------------ what is on the disk */

/* libblkid wants a file: one with holes, but where it is to look. */
static int
copy(struct vhd_image *image, uint64_t off, uint64_t len, int fd)
{
  static uint8_t buf[DISK_HEAD];
  const uint64_t size = vhd_size(image);

  if (off > size)
    return 0;
  if (len > size - off)
    len = size - off;
  int r = vhd_pread(image, buf, len, off);
  if (r == 0 && pwrite(fd, buf, len, (off_t)off) != (ssize_t)len)
    r = -errno;
  return r;
}

static int
look_by(struct vhd_image *image, int fd, struct disk *disk)
{
  const uint64_t size = vhd_size(image);
  const uint64_t tail = size > DISK_HEAD ? size - DISK_HEAD : 0;
  int r = ftruncate(fd, (off_t)size) < 0 ? -errno : 0;

  if (r == 0)
    r = copy(image, 0, DISK_HEAD, fd);
  if (r == 0)
    r = copy(image, tail, DISK_HEAD, fd);
  if (r == 0)
    r = disk_look(fd, size, disk);
  for (unsigned i = 0; r == 0 && i < disk->n; i++)
    if (disk->part[i].number != 0 && disk->part[i].len != 0)
      r = copy(image, disk->part[i].off, PART_HEAD, fd);
  return r < 0 ? r : disk_look(fd, size, disk);
}

static int
by_offset(const void *a, const void *b)
{
  const struct free_stretch *x = a, *y = b;

  return (x->off > y->off) - (x->off < y->off);
}

/* Two that overlap are of a table that makes no sense. */
static int
put_in_order(struct free_map *map, struct vhd_error *err)
{
  if (map->n > 0)
    qsort(map->stretch, map->n, sizeof *map->stretch, by_offset);
  for (size_t i = 1; i < map->n; i++)
    if (map->stretch[i - 1].off + map->stretch[i - 1].len >
        map->stretch[i].off) {
      err->code = VHD_STATE;
      err->sys = EUCLEAN;
      snprintf(err->message, sizeof err->message,
               "the partitions overlap, so what they use is not known");
      return -EUCLEAN;
    }
  return 0;
}

static bool
overlaps_another(const struct disk *disk, unsigned i)
{
  const struct disk_part *a = &disk->part[i], *b = disk->part;

  for (unsigned k = 0; k < disk->n; k++)
    if (k != i && a->off < b[k].off + b[k].len &&
        b[k].off < a->off + a->len)
      return true;
  return false;
}

static int
find_in(struct vhd_image *image, const struct disk *disk, struct free_map *map,
        struct vhd_error *err)
{
  unsigned known = 0;
  int r = 0;

  for (unsigned i = 0; r == 0 && i < disk->n; i++) {
    const struct disk_part *part = &disk->part[i];
    if (strncmp(part->content, "ext", 3) == 0 && part->filesystem &&
        !overlaps_another(disk, i)) {
      known++;
      r = ext_find_free(image, part, map, err);
    } else if (part->number != 0)
      complain("warning: partition %u (%s): what it does not use is not "
               "known, and stays", part->number,
               *part->content != '\0' ? part->content : "nothing known");
  }
  if (r == 0 && known == 0)
    complain("warning: nothing inside tells what it does not use; only zeros "
             "are dropped");
  return r == 0 ? put_in_order(map, err) : r;
}

static int
find(struct vhd_image *image, struct free_map *map, struct vhd_error *err)
{
  static struct disk disk;
  int fd = memfd_create("vhdkit", MFD_CLOEXEC);
  int r = fd < 0 ? -errno : look_by(image, fd, &disk);

  if (fd >= 0)
    close(fd);
  if (r < 0) {
    err->code = VHD_SYSTEM;
    err->sys = -r;
    snprintf(err->message, sizeof err->message,
             "the disk cannot be looked into: %s", strerror(-r));
    return r;
  }
  return find_in(image, &disk, map, err);
}

/* ------------------------------------------------------------------- asking */

int
free_next(void *opaque, struct vhd_image *image, uint64_t from, uint64_t *off,
          uint64_t *len, struct vhd_error *err)
{
  struct free_map *map = opaque;

  if (!map->found) {
    int r = find(image, map, err);
    if (r < 0)
      return r;
    map->found = true;
  }
  /* It is asked in ascending order, for the most part. */
  if (from < map->from)
    map->at = 0;
  map->from = from;
  while (map->at < map->n &&
         map->stretch[map->at].off + map->stretch[map->at].len <= from)
    map->at++;
  if (map->at == map->n)
    return 0;
  *off = map->stretch[map->at].off;
  *len = map->stretch[map->at].len;
  return 1;
}
