/* SPDX-License-Identifier: BSD-2-Clause */
/* excerpt.c: see excerpt.h. */
#include "config.h"

#include "inside/excerpt.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inside/ntfs.h"

/* Where tables and what tells a file system lie: at the beginning of a disk, at
 * its end, and at the beginning of a partition. */
#define DISK_HEAD (1U << 20)
#define PART_HEAD (128U << 10)
/* What tells of others lies farther in, too, and at its end. */
#define WHOLE_HEAD ((2U << 20) + (64U << 10))
#define PIECE (128U << 10)
#define SECTOR 512U
#define CHAIN_MOST 100 /* libblkid's own */

struct excerpt {
  struct vhd_image *image;
  uint64_t off, len; /* of the disk: what the file is of */
  int fd;
};

/* Bytes counted from .off; those beyond the end are left out. */
static int
copy(const struct excerpt *x, uint64_t off, uint64_t len)
{
  static uint8_t buf[PIECE];
  int r = 0;

  if (off > x->len)
    return 0;
  if (len > x->len - off)
    len = x->len - off;
  for (uint64_t at = 0; r == 0 && at < len; at += PIECE) {
    const size_t n = len - at < PIECE ? (size_t)(len - at) : PIECE;
    r = vhd_pread(x->image, buf, n, x->off + off + at);
    if (r == 0 && pwrite(x->fd, buf, n, (off_t)(off + at)) != (ssize_t)n)
      r = -EIO;
  }
  return r;
}

static int
copy_tail(const struct excerpt *x)
{
  return copy(x, x->len > DISK_HEAD ? x->len - DISK_HEAD : 0, DISK_HEAD);
}

/* The table of what NTFS holds, of which libblkid reads the first entries,
 * lies far in. */
static int
copy_mft(const struct excerpt *x, uint64_t off)
{
  uint8_t boot[NTFS_BOOT];
  struct ntfs_boot ntfs;

  if (off > x->len || x->len - off < sizeof boot)
    return 0;
  int r = vhd_pread(x->image, boot, sizeof boot, x->off + off);
  if (r < 0 || !ntfs_parse_boot(boot, &ntfs))
    return r;
  const uint64_t at = ntfs.mft_lcn * ntfs.cluster;
  return at < x->len - off ? copy(x, off + at, 8 * (uint64_t)ntfs.record) : 0;
}

/* What begins at off, so far that a known file system is seen. */
static int
copy_head(const struct excerpt *x, uint64_t off, uint64_t len)
{
  int r = copy(x, off, len);

  return r == 0 ? copy_mft(x, off) : r;
}

/* Each table in an extended partition tells of one in it and where, counted
 * from the beginning of all, the next table is. */
static int
copy_chain(const struct excerpt *x, uint64_t start)
{
  uint8_t table[SECTOR];
  uint64_t at = start;
  int r = 0;

  for (int i = 0; r == 0 && i < CHAIN_MOST; i++) {
    uint64_t next = 0;
    if (at > x->len || x->len - at < SECTOR)
      break;
    r = vhd_pread(x->image, table, SECTOR, x->off + at);
    if (r == 0)
      r = copy(x, at, SECTOR);
    for (const uint8_t *p = table + 446; r == 0 && p < table + 510; p += 16)
      if ((p[4] == 0x05 || p[4] == 0x0f || p[4] == 0x85) && next == 0)
        next = le32(p + 8);
    if (next == 0)
      break;
    at = start + next * SECTOR;
  }
  return r;
}

static int
copy_part(const struct excerpt *x, const struct disk_part *part)
{
  if (part->number == 0 || part->len == 0)
    return 0;
  return part->extended ? copy_chain(x, part->off)
                        : copy_head(x, part->off, PART_HEAD);
}

/* Some partitions lie in others, which must be known for it. */
static int
look(const struct excerpt *x, struct disk *disk)
{
  int r = copy_head(x, 0, DISK_HEAD);

  if (r == 0)
    r = copy_tail(x);
  if (r == 0)
    r = disk_look(x->fd, x->len, disk);
  for (unsigned known = 0, n = disk->n; r == 0 && known < n; n = disk->n) {
    for (; r == 0 && known < n; known++)
      r = copy_part(x, &disk->part[known]);
    if (r == 0)
      r = disk_look(x->fd, x->len, disk);
  }
  return r;
}

static int
begin(struct excerpt *x)
{
  x->fd = memfd_create("vhdkit", MFD_CLOEXEC);
  return x->fd < 0 || ftruncate(x->fd, (off_t)x->len) < 0 ? -errno : 0;
}

static int
end(struct excerpt *x, int r)
{
  if (x->fd >= 0)
    close(x->fd);
  return r;
}

int
excerpt_look(struct vhd_image *image, struct disk *disk)
{
  struct excerpt x = { .image = image, .len = vhd_size(image) };
  const int r = begin(&x);

  disk->n = 0;
  return end(&x, r < 0 ? r : look(&x, disk));
}

int
excerpt_look_at_part(struct vhd_image *image, struct disk_part *part)
{
  struct excerpt x = { .image = image, .off = part->off, .len = part->len };
  int r = begin(&x);

  if (r == 0)
    r = copy_head(&x, 0, WHOLE_HEAD);
  if (r == 0)
    r = copy_tail(&x);
  return end(&x, r < 0 ? r : disk_look_at_part(x.fd, part));
}
