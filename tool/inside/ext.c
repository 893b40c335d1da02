/* SPDX-License-Identifier: BSD-2-Clause */
/* ext.c: see ext.h.  All that knows libext2fs, which reads from the image
 * through an I/O manager of ours, and writes nothing. */
#include "config.h"

#include "inside/ext.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_EXT2FS
#include <ext2fs/ext2fs.h>
#endif

#ifndef HAVE_EXT2FS

const struct usage_reader *const ext_reader = NULL;

#else

/* ----------------------------------------------------------------- reading */

/* The library hands a name to open(), and nothing else. */
static const struct source *opening;

static struct struct_io_manager manager;

static errcode_t
io_open(const char *name, int flags, io_channel *channel)
{
  io_channel io;

  if ((flags & IO_FLAG_RW) != 0)
    return EXT2_ET_RO_FILSYS;
  errcode_t r = ext2fs_get_memzero(sizeof *io, &io);
  if (r != 0)
    return r;
  io->magic = EXT2_ET_MAGIC_IO_CHANNEL;
  io->manager = &manager;
  io->block_size = 1024;
  io->refcount = 1;
  io->private_data = (void *)opening;
  r = ext2fs_get_mem(strlen(name) + 1, &io->name);
  if (r != 0) {
    ext2fs_free_mem(&io);
    return r;
  }
  strcpy(io->name, name);
  *channel = io;
  return 0;
}

static errcode_t
io_close(io_channel io)
{
  if (--io->refcount > 0)
    return 0;
  ext2fs_free_mem(&io->name);
  ext2fs_free_mem(&io);
  return 0;
}

static errcode_t
io_set_blksize(io_channel io, int size)
{
  io->block_size = size;
  return 0;
}

/* A negative count is one of bytes. */
static errcode_t
io_read(io_channel io, unsigned long long block, int count, void *data)
{
  const struct source *s = io->private_data;
  const uint64_t size = (uint64_t)io->block_size;
  const uint64_t n = count < 0 ? (uint64_t)-(int64_t)count
                               : (uint64_t)count * size;

  if (block > s->len / size)
    return EXT2_ET_SHORT_READ;
  return source_read(s, data, n, block * size) == 0 ? 0 : EXT2_ET_SHORT_READ;
}

static errcode_t
io_read_small(io_channel io, unsigned long block, int count, void *data)
{
  return io_read(io, block, count, data);
}

static errcode_t
io_write(io_channel io, unsigned long long block, int count, const void *data)
{
  (void)io;
  (void)block;
  (void)count;
  (void)data;
  return EXT2_ET_RO_FILSYS;
}

static errcode_t
io_write_small(io_channel io, unsigned long block, int count, const void *data)
{
  return io_write(io, block, count, data);
}

static errcode_t
io_flush(io_channel io)
{
  (void)io;
  return 0;
}

/* clang-format off */
static struct struct_io_manager manager = {
  .magic = EXT2_ET_MAGIC_IO_MANAGER,
  .name = "vhdkit",
  .open = io_open,
  .close = io_close,
  .set_blksize = io_set_blksize,
  .read_blk = io_read_small,
  .write_blk = io_write_small,
  .flush = io_flush,
  .read_blk64 = io_read,
  .write_blk64 = io_write,
};
/* clang-format on */

/* ---------------------------------------------------------- is it in order? */

#define FSCK "e2fsck -f mends that"
/* A group has 32 or 64 bytes of this; a usual one on 2 TiB, with the smallest
 * blocks, 16 MiB. */
#define GROUPS_MOST (64U << 20)
#define HEAD 1024U
#define MAGIC 0xef53

struct ext {
  ext2_filsys fs;
  uint32_t ratio; /* blocks of a cluster, the unit here */
  uint8_t *buf;   /* a block */
};

/* What decides how much memory libext2fs takes; the rest is for it to see. */
static int
check_size(struct usage *usage)
{
  uint8_t sb[HEAD];
  int r = source_read(&usage->source, sb, sizeof sb, HEAD);

  if (r < 0)
    return r;
  const uint32_t shift = le32(sb + 24), per = le32(sb + 32);
  const bool large = (le32(sb + 96) & EXT4_FEATURE_INCOMPAT_64BIT) != 0;
  const uint64_t blocks =
    le32(sb + 4) | (large ? (uint64_t)le32(sb + 336) << 32 : 0);
  if (le16(sb + 56) != MAGIC || shift > 6 || per < 8)
    return usage_refuse(usage, FSCK, "has an odd superblock");
  if (blocks == 0 || blocks > usage->source.len / (HEAD << shift))
    return usage_refuse(usage, FSCK, "is larger than its place");
  if (blocks / per > GROUPS_MOST / 64)
    return usage_refuse(usage, FSCK, "has an odd layout");
  return 0;
}

/* Whoever has it mounted, or had it when the power went, may use more than it
 * says. */
static bool
is_clean(const struct ext2_super_block *sb)
{
  return (sb->s_state & EXT2_VALID_FS) != 0 &&
         (sb->s_state & EXT2_ERROR_FS) == 0 && sb->s_last_orphan == 0 &&
         (sb->s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER) == 0 &&
         (sb->s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT) ==
           0;
}

/* Its own journal must be empty, and have no error in it of which the
 * superblock does not know yet. */
static int
check_journal(struct usage *usage)
{
  struct ext *ext = usage->fs;
  struct ext2_super_block *sb = ext->fs->super;
  struct ext2_inode inode;
  blk64_t block;

  if (!ext2fs_has_feature_journal(sb) || sb->s_journal_inum == 0)
    return 0;
  if (ext2fs_read_inode(ext->fs, sb->s_journal_inum, &inode) != 0 ||
      ext2fs_bmap2(ext->fs, sb->s_journal_inum, &inode, NULL, 0, 0, NULL,
                   &block) != 0 ||
      io_channel_read_blk64(ext->fs->io, block, 1, ext->buf) != 0 ||
      memcmp(ext->buf, "\xc0\x3b\x39\x98", 4) != 0)
    return usage_refuse(usage, FSCK, "has a journal that cannot be read");
  for (int i = 28; i < 36; i++) /* s_start and s_errno */
    if (ext->buf[i] != 0)
      return usage_refuse(usage, FSCK, "has a journal that is not empty");
  return 0;
}

static int
check_features(struct usage *usage)
{
  const struct ext *ext = usage->fs;
  struct ext2_super_block *sb = ext->fs->super;

  if (!is_clean(sb))
    return usage_refuse(usage, FSCK,
                        "was not unmounted in order, or has errors");
  /* Who only reads may pass over these; what is free is another matter. */
  if ((sb->s_feature_ro_compat & ~EXT2_LIB_FEATURE_RO_COMPAT_SUPP) != 0)
    return usage_refuse(usage, "use what made it",
                        "has features that are not known");
  if (ext2fs_blocks_count(sb) > usage->source.len / ext->fs->blocksize)
    return usage_refuse(usage, FSCK, "is larger than its place");
  if (ext->ratio == 0 || sb->s_blocks_per_group % ext->ratio != 0 ||
      sb->s_blocks_per_group / ext->ratio != sb->s_clusters_per_group ||
      sb->s_clusters_per_group > 8 * ext->fs->blocksize ||
      (ext->ratio > 1 && sb->s_first_data_block != 0))
    return usage_refuse(usage, FSCK, "has an odd layout");
  return ext2fs_check_desc(ext->fs) == 0
           ? check_journal(usage)
           : usage_refuse(usage, FSCK, "has groups that lie oddly");
}

static int
open(struct usage *usage)
{
  struct ext *ext = calloc(1, sizeof *ext);

  usage->fs = ext;
  usage->mend = FSCK;
  if (ext == NULL)
    return -ENOMEM;
  int r = check_size(usage);
  if (r < 0)
    return r;
  opening = &usage->source;
  if (ext2fs_open("disk", EXT2_FLAG_64BITS, 0, 0, &manager, &ext->fs) != 0)
    return usage_refuse(usage, FSCK, "cannot be opened");
  ext->ratio = (uint32_t)EXT2FS_CLUSTER_RATIO(ext->fs);
  ext->buf = malloc(ext->fs->blocksize);
  if (ext->buf == NULL)
    return -ENOMEM;
  r = check_features(usage);
  const struct ext2_super_block *sb = ext->fs->super;
  usage->first = (uint64_t)sb->s_first_data_block * ext->fs->blocksize;
  usage->unit = (uint64_t)ext->ratio * ext->fs->blocksize;
  usage->n = (ext2fs_blocks_count(ext->fs->super) - sb->s_first_data_block) /
             (ext->ratio != 0 ? ext->ratio : 1);
  usage->window = sb->s_clusters_per_group;
  return r;
}

/* ------------------------------------------------------------------ bitmaps */

/* Blocks of the group, as far as they lie in it. */
static void
mark_blocks(const struct ext *ext, dgrp_t group, blk64_t block, blk64_t n,
            uint8_t *used)
{
  const blk64_t first = ext2fs_group_first_block2(ext->fs, group);
  const blk64_t last = ext2fs_group_last_block2(ext->fs, group);

  for (; n > 0; n--, block++)
    if (block >= first && block <= last)
      usage_mark(used, (uint32_t)((block - first) / ext->ratio));
}

/* What the file system itself takes of a group, told to each. */
static int
for_each_own(const struct ext *ext, dgrp_t group,
             int (*each)(void *opaque, blk64_t block, blk64_t n), void *opaque)
{
  blk64_t super, old_desc, new_desc;
  blk_t n_desc = ext->fs->desc_blocks;
  int r = 1;

  ext2fs_super_and_bgd_loc2(ext->fs, group, &super, &old_desc, &new_desc,
                            NULL);
  if (ext2fs_has_feature_meta_bg(ext->fs->super))
    n_desc = ext->fs->super->s_first_meta_bg;
  else
    n_desc += ext->fs->super->s_reserved_gdt_blocks;
  if (super != 0 || group == 0)
    r = each(opaque, super, 1);
  if (r == 1 && old_desc != 0)
    r = each(opaque, old_desc, n_desc);
  if (r == 1 && new_desc != 0)
    r = each(opaque, new_desc, 1);
  if (r == 1)
    r = each(opaque, ext2fs_block_bitmap_loc(ext->fs, group), 1);
  if (r == 1)
    r = each(opaque, ext2fs_inode_bitmap_loc(ext->fs, group), 1);
  return r == 1 ? each(opaque, ext2fs_inode_table_loc(ext->fs, group),
                       ext->fs->inode_blocks_per_group)
                : r;
}

struct marking {
  const struct ext *ext;
  dgrp_t group;
  uint8_t *used;
};

static int
mark_own(void *opaque, blk64_t block, blk64_t n)
{
  const struct marking *m = opaque;

  mark_blocks(m->ext, m->group, block, n, m->used);
  return 1;
}

/* Of a group that was never written to there is no bitmap. */
static bool
is_untouched(const struct ext *ext, dgrp_t group)
{
  return ext2fs_has_group_desc_csum(ext->fs) &&
         ext2fs_bg_flags_test(ext->fs, group, EXT2_BG_BLOCK_UNINIT);
}

static int
load_bitmap(struct usage *usage, dgrp_t group, uint8_t *used)
{
  const struct ext *ext = usage->fs;
  const blk64_t block = ext2fs_block_bitmap_loc(ext->fs, group);

  if (ext2fs_has_group_desc_csum(ext->fs) &&
      !ext2fs_group_desc_csum_verify(ext->fs, group))
    return usage_refuse(usage, FSCK, "has a damaged table of groups");
  if (is_untouched(ext, group)) {
    struct marking marking = { ext, group, used };
    for_each_own(ext, group, mark_own, &marking);
    return 0;
  }
  if (io_channel_read_blk64(ext->fs->io, block, 1, ext->buf) != 0 ||
      !ext2fs_block_bitmap_csum_verify(ext->fs, group, (char *)ext->buf,
                                       (int)usage->window / 8))
    return usage_refuse(usage, FSCK, "has a bitmap that cannot be read");
  memcpy(used, ext->buf, usage->window / 8);
  return 0;
}

/* The kernel takes a group for damaged whose count is another than its
 * bitmap's. */
static int
check_count(struct usage *usage, dgrp_t group, const uint8_t *used)
{
  const struct ext *ext = usage->fs;
  const blk64_t blocks = ext2fs_group_last_block2(ext->fs, group) + 1 -
                         ext2fs_group_first_block2(ext->fs, group);
  const uint32_t n = (uint32_t)((blocks + ext->ratio - 1) / ext->ratio);
  uint32_t nfree = 0;

  for (uint32_t i = 0; i < n; i++)
    nfree += !usage_is_marked(used, i);
  return nfree == ext2fs_bg_free_blocks_count(ext->fs, group)
           ? 0
           : usage_refuse(usage, FSCK, "has a bitmap that cannot be right");
}

static int
load(struct usage *usage, uint64_t window, uint8_t *used)
{
  const struct ext *ext = usage->fs;
  const dgrp_t group = (dgrp_t)window;

  if (window >= ext->fs->group_desc_count)
    return -EUCLEAN;
  int r = load_bitmap(usage, group, used);
  return r == 0 ? check_count(usage, group, used) : r;
}

static int
holds_own(void *opaque, blk64_t block, blk64_t n)
{
  struct usage *usage = opaque;
  const struct ext *ext = usage->fs;

  return usage_holds(usage, block * ext->fs->blocksize,
                     n * ext->fs->blocksize);
}

static int
check(struct usage *usage)
{
  const struct ext *ext = usage->fs;
  int r = 1;

  for (dgrp_t i = 0; r == 1 && i < ext->fs->group_desc_count; i++)
    r = for_each_own(ext, i, holds_own, usage);
  return r != 0 ? r < 0 ? r : 0
                : usage_refuse(usage, FSCK, "calls free what it uses itself");
}

static void
close(struct usage *usage)
{
  struct ext *ext = usage->fs;

  if (ext == NULL)
    return;
  if (ext->fs != NULL)
    ext2fs_free(ext->fs);
  free(ext->buf);
  free(ext);
}

static const char *const contents[] = { "ext2", "ext3", "ext4", NULL };

static const struct usage_reader reader = {
  .contents = contents,
  .open = open,
  .load = load,
  .check = check,
  .close = close,
};

const struct usage_reader *const ext_reader = &reader;

#endif
