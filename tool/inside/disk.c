/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.c: see disk.h.  All that knows libblkid. */
#include "config.h"

#include "inside/disk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifdef HAVE_BLKID
#include <blkid.h>
#endif

const struct disk_part *
disk_part(const struct disk *disk, unsigned number)
{
  for (unsigned i = 0; i < disk->n; i++)
    if (disk->part[i].number == number)
      return &disk->part[i];
  return NULL;
}

#ifndef HAVE_BLKID

bool
disk_can_look(void)
{
  return false;
}

int
disk_look(int fd, uint64_t size, struct disk *disk)
{
  (void)fd;
  (void)size;
  *disk = (struct disk){ .n = 0 };
  return -ENOTSUP;
}

int
disk_look_at_part(int fd, struct disk_part *part)
{
  (void)fd;
  (void)part;
  return -ENOTSUP;
}

#else

#define SECTOR 512

bool
disk_can_look(void)
{
  return true;
}

static void
put(char *text, size_t size, const char *value)
{
  snprintf(text, size, "%s", value ? value : "");
}

static void
put_value(blkid_probe probe, const char *name, char *text, size_t size)
{
  const char *value = NULL;

  if (blkid_probe_lookup_value(probe, name, &value, NULL) < 0)
    value = NULL;
  put(text, size, value);
}

/* ------------------------------------------------------- what a part holds */

/* What could be two things is neither. */
static int
look_at(int fd, uint64_t off, struct disk_part *part)
{
  char usage[16];
  blkid_probe probe = blkid_new_probe();

  part->content[0] = part->label[0] = part->uuid[0] = '\0';
  part->filesystem = false;
  if (!probe)
    return -ENOMEM;
  int r = blkid_probe_set_device(probe, fd, (blkid_loff_t)off,
                                 (blkid_loff_t)part->len);
  if (r == 0) {
    blkid_probe_enable_superblocks(probe, 1);
    blkid_probe_set_superblocks_flags(
      probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID |
               BLKID_SUBLKS_USAGE);
    errno = 0;
    r = blkid_do_safeprobe(probe);
  }
  if (r == 0) {
    put_value(probe, "TYPE", part->content, sizeof part->content);
    put_value(probe, "LABEL", part->label, sizeof part->label);
    put_value(probe, "UUID", part->uuid, sizeof part->uuid);
    put_value(probe, "USAGE", usage, sizeof usage);
    part->filesystem = strcmp(usage, "filesystem") == 0;
  }
  blkid_free_probe(probe);
  return r == -1 ? -(errno ? errno : EIO) : 0;
}

int
disk_look_at_part(int fd, struct disk_part *part)
{
  return look_at(fd, 0, part);
}

/* -------------------------------------------------------------- partitions */

static void
put_type(blkid_partition from, struct disk_part *part)
{
  const char *uuid = blkid_partition_get_type_string(from);

  if (uuid)
    put(part->type, sizeof part->type, uuid);
  else
    snprintf(part->type, sizeof part->type, "0x%x",
             (unsigned)blkid_partition_get_type(from));
}

/* Whatever a table says: what lies beyond the disk has nothing in it. */
static int
add_partition(int fd, uint64_t size, blkid_partition from, struct disk *disk)
{
  struct disk_part *part = &disk->part[disk->n++];
  const uint64_t start = (uint64_t)blkid_partition_get_start(from);
  const uint64_t sectors = (uint64_t)blkid_partition_get_size(from);

  *part = (struct disk_part){
    .number = (unsigned)blkid_partition_get_partno(from),
    .off = start * SECTOR,
    .len = sectors * SECTOR,
    .extended = blkid_partition_is_extended(from) != 0,
  };
  put_type(from, part);
  put(part->name, sizeof part->name, blkid_partition_get_name(from));
  if (start > size / SECTOR || sectors > size / SECTOR - start) {
    part->len = 0;
    return 0;
  }
  if (part->extended || sectors == 0)
    return 0;
  return look_at(fd, part->off, part);
}

static int
add_partitions(int fd, uint64_t size, blkid_partlist list, struct disk *disk)
{
  blkid_parttable table = blkid_partlist_get_table(list);
  const int n = blkid_partlist_numof_partitions(list);
  int r = 0;

  put(disk->table, sizeof disk->table,
      table ? blkid_parttable_get_type(table) : NULL);
  for (int i = 0; r == 0 && i < n && disk->n < DISK_PARTS; i++) {
    blkid_partition from = blkid_partlist_get_partition(list, i);
    if (from)
      r = add_partition(fd, size, from, disk);
  }
  return r;
}

/* A disk without partitions.  The first sector of some file systems looks like
 * a table, an empty one. */
static int
look_at_all(int fd, uint64_t size, blkid_partlist list, struct disk *disk)
{
  blkid_parttable table = list ? blkid_partlist_get_table(list) : NULL;

  disk->part[0] = (struct disk_part){ .len = size };
  const int r = look_at(fd, 0, &disk->part[0]);
  if (table && *disk->part[0].content == '\0')
    put(disk->table, sizeof disk->table, blkid_parttable_get_type(table));
  else
    disk->n = 1;
  return r;
}

int
disk_look(int fd, uint64_t size, struct disk *disk)
{
  blkid_probe probe = blkid_new_probe();
  blkid_partlist list = NULL;

  *disk = (struct disk){ .n = 0 };
  if (!probe)
    return -ENOMEM;
  errno = 0;
  int r = blkid_probe_set_device(probe, fd, 0, (blkid_loff_t)size);
  if (r == 0) {
    blkid_probe_enable_partitions(probe, 1);
    list = blkid_probe_get_partitions(probe);
  }
  if (r != 0)
    r = -(errno ? errno : EIO);
  else if (list && blkid_partlist_numof_partitions(list) > 0)
    r = add_partitions(fd, size, list, disk);
  else
    r = look_at_all(fd, size, list, disk);
  blkid_free_probe(probe);
  return r;
}

#endif
