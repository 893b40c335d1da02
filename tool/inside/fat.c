/* SPDX-License-Identifier: BSD-2-Clause */
/* fat.c: see fat.h.  An entry of the table for each cluster, the first two
 * clusters left out; 0: it is free.  Of the tables there are mostly two,
 * which must say the same. */
#include "config.h"

#include "inside/fat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FSCK "fsck.fat, or chkdsk /f in Windows, mends that"
#define WINDOW 32768U /* clusters */
#define FIRST 2U      /* the cluster with which they begin */
/* So many clusters make it the larger kind. */
#define FAT16_LEAST 4085U
#define FAT32_LEAST 65525U
#define FAT32_MOST 0x0ffffff5U

struct fat {
  unsigned bits;        /* of an entry: 12, 16, 32 */
  uint64_t at, size;    /* the first table, */
  unsigned n;           /* and how many there are */
  uint64_t clusters, cluster, data;
  uint32_t root;        /* FAT32: where the root folder begins */
  uint8_t state;        /* what the boot sector says of it */
  uint16_t active;      /* FAT32: may only one table count? */
  uint8_t table[WINDOW * 4], other[WINDOW * 4];
};

/* --------------------------------------------------------- the boot sector */

static int
refuse_boot(struct usage *usage)
{
  return usage_refuse(usage, FSCK, "has an odd boot sector");
}

/* What both kinds have; sizes in bytes. */
static int
take_layout(struct usage *usage, struct fat *fs, const uint8_t *boot)
{
  const uint32_t sector = le16(boot + 11), per = boot[13];
  const uint32_t reserved = le16(boot + 14), root = le16(boot + 17) * 32U;
  const uint64_t table = le16(boot + 22) ? le16(boot + 22) : le32(boot + 36);
  const uint64_t all = le16(boot + 19) ? le16(boot + 19) : le32(boot + 32);

  fs->n = boot[16];
  if (!is_power_of_two(sector) || sector < 512 || sector > 4096 ||
      !is_power_of_two(per) || reserved == 0 || table == 0 || fs->n == 0 ||
      fs->n > 4 || root % sector != 0)
    return refuse_boot(usage);
  if (all > usage->source.len / sector)
    return usage_refuse(usage, FSCK, "is larger than its place");
  const uint64_t head = reserved + fs->n * table + root / sector;
  if (head > all)
    return refuse_boot(usage);
  fs->at = (uint64_t)reserved * sector;
  fs->size = table * sector;
  fs->data = head * sector;
  fs->cluster = (uint64_t)per * sector;
  fs->clusters = (all - head) / per;
  return 0;
}

static int
take_kind(struct usage *usage, struct fat *fs, const uint8_t *boot)
{
  const bool large = le16(boot + 22) == 0;

  fs->bits = fs->clusters < FAT16_LEAST   ? 12
             : fs->clusters < FAT32_LEAST ? 16
                                          : 32;
  /* Few clusters and the tables of FAT32 are taken for either. */
  if (large != (fs->bits == 32) || large != (le16(boot + 17) == 0) ||
      fs->clusters == 0 || fs->clusters > FAT32_MOST - FIRST ||
      fs->size < ((fs->clusters + FIRST) * fs->bits + 7) / 8)
    return refuse_boot(usage);
  if (large) {
    fs->root = le32(boot + 44);
    fs->active = le16(boot + 40);
  }
  fs->state = boot[large ? 65 : 37];
  return large && (le16(boot + 42) != 0 || fs->root < FIRST ||
                   fs->root - FIRST >= fs->clusters)
           ? refuse_boot(usage)
           : 0;
}

/* ------------------------------------------------------------------- tables */

/* Bytes of a table, the same in all of them. */
static int
read_tables(struct usage *usage, uint64_t off, size_t len)
{
  struct fat *fs = usage->fs;
  int r = source_read(&usage->source, fs->table, len, fs->at + off);

  for (unsigned i = 1; r == 0 && i < fs->n; i++) {
    r = source_read(&usage->source, fs->other, len,
                    fs->at + i * fs->size + off);
    if (r == 0 && memcmp(fs->table, fs->other, len) != 0)
      r = usage_refuse(usage, FSCK, "has tables of which each says something "
                       "else");
  }
  return r;
}

static uint32_t
entry(const struct fat *fs, uint32_t i)
{
  const uint8_t *p = fs->table;

  if (fs->bits == 32)
    return le32(p + 4 * (size_t)i) & 0x0fffffff;
  if (fs->bits == 16)
    return le16(p + 2 * (size_t)i);
  const uint32_t pair = le16(p + i + i / 2);
  return i % 2 != 0 ? pair >> 4 : pair & 0xfff;
}

/* The second entry has bits that say that it was unmounted in order, and that
 * nothing could not be read. */
static int
check_state(struct usage *usage)
{
  const struct fat *fs = usage->fs;
  int r = read_tables(usage, 0, 8);

  if (r < 0)
    return r;
  const uint32_t good = fs->bits == 32   ? 3U << 26
                        : fs->bits == 16 ? 3U << 14
                                         : 0;
  if ((entry(fs, 0) & 0xff) < 0xf0)
    return usage_refuse(usage, FSCK, "has an odd table");
  if ((fs->state & 3) != 0 || (entry(fs, 1) & good) != good)
    return usage_refuse(usage, FSCK, "was not unmounted in order, or has "
                        "errors");
  if ((fs->active & 0x80) != 0)
    return usage_refuse(usage, FSCK, "keeps only one of its tables");
  return 0;
}

static int
open(struct usage *usage)
{
  struct fat *fs = calloc(1, sizeof *fs);
  uint8_t boot[512];

  usage->fs = fs;
  usage->mend = FSCK;
  if (fs == NULL)
    return -ENOMEM;
  int r = source_read(&usage->source, boot, sizeof boot, 0);
  if (r == 0)
    r = take_layout(usage, fs, boot);
  if (r == 0)
    r = take_kind(usage, fs, boot);
  if (r == 0)
    r = check_state(usage);
  usage->first = fs->data;
  usage->unit = fs->cluster;
  usage->n = fs->clusters;
  usage->window = WINDOW;
  return r;
}

static int
load(struct usage *usage, uint64_t window, uint8_t *used)
{
  struct fat *fs = usage->fs;
  const uint64_t from = FIRST + window * WINDOW;
  const uint64_t left = fs->clusters + FIRST - from;
  const uint32_t n = left < WINDOW ? (uint32_t)left : WINDOW;
  /* FAT12 has one window, whose two first entries are those of no cluster. */
  const uint32_t skip = fs->bits == 12 ? FIRST : 0;
  int r = read_tables(usage, (from - skip) * fs->bits / 8,
                      ((size_t)(n + skip) * fs->bits + 7) / 8);

  for (uint32_t i = 0; r == 0 && i < n; i++)
    if (entry(fs, skip + i) != 0)
      usage_mark(used, i);
  return r;
}

static int
check(struct usage *usage)
{
  const struct fat *fs = usage->fs;

  if (fs->bits != 32)
    return 0;
  const int r = usage_holds(
    usage, fs->data + (uint64_t)(fs->root - FIRST) * fs->cluster, fs->cluster);
  return r != 0 ? r < 0 ? r : 0
                : usage_refuse(usage, FSCK, "calls free what it uses itself");
}

static void
close(struct usage *usage)
{
  free(usage->fs);
}

static const char *const contents[] = { "vfat", NULL };

const struct usage_reader fat_reader = {
  .contents = contents,
  .open = open,
  .load = load,
  .check = check,
  .close = close,
};
