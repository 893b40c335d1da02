/* SPDX-License-Identifier: BSD-2-Clause */
/* ext.c: see ext.h.  All that knows libext2fs, which reads from the image
 * through an I/O manager of ours, and writes nothing. */
#include "config.h"

#include "inside/ext.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_EXT2FS
#include <ext2fs/ext2fs.h>
#endif

#ifndef HAVE_EXT2FS

bool
ext_can_look(void)
{
  return false;
}

int
ext_find_free(struct vhd_image *image, const struct disk_part *part,
              struct free_map *map, struct vhd_error *err)
{
  (void)image;
  (void)part;
  (void)map;
  (void)err;
  return -ENOTSUP;
}

#else

bool
ext_can_look(void)
{
  return true;
}

/* ----------------------------------------------------------------- reading */

struct source {
  struct vhd_image *image;
  uint64_t off, len;
};

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

  if (block > s->len / size || n > s->len - block * size)
    return EXT2_ET_SHORT_READ;
  return vhd_pread(s->image, data, n, s->off + block * size) == 0
           ? 0
           : EXT2_ET_SHORT_READ;
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

/* ----------------------------------------------------------------- looking */

static int
fail(const struct disk_part *part, struct vhd_error *err, const char *what)
{
  char where[32] = "";

  if (part->number != 0)
    snprintf(where, sizeof where, " in partition %u", part->number);
  err->code = VHD_STATE;
  err->sys = EUCLEAN;
  snprintf(err->message, sizeof err->message,
           "the %.10s file system%s %s, so what it uses is not known; "
           "e2fsck -f mends that", part->content, where, what);
  return -EUCLEAN;
}

/* Whoever has it mounted, or had it when the power went, may use more than it
 * says. */
static bool
is_clean(ext2_filsys fs)
{
  struct ext2_super_block *sb = fs->super;

  return (sb->s_state & EXT2_VALID_FS) != 0 &&
         (sb->s_state & EXT2_ERROR_FS) == 0 && sb->s_last_orphan == 0 &&
         !ext2fs_has_feature_journal_needs_recovery(sb) &&
         !ext2fs_has_feature_orphan_present(sb);
}

static int
add_free(ext2_filsys fs, const struct disk_part *part, struct free_map *map,
         struct vhd_error *err)
{
  const blk64_t last = ext2fs_blocks_count(fs->super) - 1;
  blk64_t at = fs->super->s_first_data_block, first, next;

  while (at <= last) {
    errcode_t r = ext2fs_find_first_zero_block_bitmap2(fs->block_map, at, last,
                                                       &first);
    if (r == ENOENT)
      break;
    if (r == 0)
      r = ext2fs_find_first_set_block_bitmap2(fs->block_map, first, last,
                                              &next);
    if (r == ENOENT)
      next = last + 1;
    else if (r != 0)
      return fail(part, err, "cannot be looked through");
    free_map_add(map, part->off + first * fs->blocksize,
                 (next - first) * fs->blocksize);
    at = next;
  }
  return 0;
}

static int
look(ext2_filsys fs, const struct disk_part *part, struct free_map *map,
     struct vhd_error *err)
{
  if (!is_clean(fs))
    return fail(part, err, "was not unmounted in order, or has errors");
  if (ext2fs_blocks_count(fs->super) > part->len / fs->blocksize)
    return fail(part, err, "is larger than its place");
  if (ext2fs_read_block_bitmap(fs) != 0)
    return fail(part, err, "has a bitmap that cannot be read");
  return add_free(fs, part, map, err);
}

int
ext_find_free(struct vhd_image *image, const struct disk_part *part,
              struct free_map *map, struct vhd_error *err)
{
  const struct source source = { image, part->off, part->len };
  ext2_filsys fs;

  opening = &source;
  if (ext2fs_open("disk", EXT2_FLAG_64BITS, 0, 0, &manager, &fs) != 0)
    return fail(part, err, "cannot be opened");
  const int r = look(fs, part, map, err);
  ext2fs_free(fs);
  return r;
}

#endif
