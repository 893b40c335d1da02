/* SPDX-License-Identifier: BSD-2-Clause */
/* test-hostile: files that broke other parsers, one by one: their dynamic
 * headers, block tables, batmaps and sizes.  Each ends in the right error or
 * the right content.  One thread; owns its scratch folder. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "unit/hostile.h"
#include "unit/unit.h"

#define LOCATOR_SLOTS 8

/* ---------------------------------------------------------- dynamic header */

static void
many_entries(struct forge *f)
{
  /* A table of 16 GiB, which the file really has room for. */
  uint8_t footer[FORGE_SECTOR];
  memcpy(footer, forge_end(f), sizeof footer);
  int fd = open(DISK, O_WRONLY | O_CLOEXEC);
  uint64_t table = 20ULL << 20, size = 17ULL << 30;
  if (fd < 0 ||
      pwrite(fd, f->file + FORGE_BAT, 512, (off_t)table) != 512 ||
      pwrite(fd, footer, sizeof footer, (off_t)size) != sizeof footer)
    hostile_fail("%s: cannot be made", DISK);
  close(fd);
}

static void
test_header(void **state)
{
  (void)state;
  static const struct shape shapes[] = {
    { .name = "no dynamic header",
      .patch = { { HEADER, 0, 1, 'C' } },
      .code = VHD_HEADER_CORRUPT },
    { .name = "header's checksum bad",
      .patch = { { HEADER, 1000, 1, 1 } },
      .traits = SUM_LEFT,
      .code = VHD_HEADER_CHECKSUM },
    { .name = "header's version 2",
      .patch = { { HEADER, 24, 4, 0x00020000 } },
      .code = VHD_HEADER_VERSION },
    { .name = "table at 0",
      .patch = { { HEADER, 16, 8, 0 } },
      .code = VHD_HEADER_CORRUPT },
    { .name = "table at 2^62",
      .patch = { { HEADER, 16, 8, 1ULL << 62 } },
      .code = VHD_HEADER_CORRUPT },
    { .name = "table beyond the file",
      .patch = { { HEADER, 16, 8, 1ULL << 40 } },
      .code = VHD_BAT_CORRUPT },
    { .name = "table at no sector",
      .patch = { { HEADER, 16, 8, FORGE_BAT + 4 } },
      .code = VHD_HEADER_CORRUPT },
    { .name = "table over the dynamic header",
      .patch = { { HEADER, 16, 8, 1024 } },
      .code = VHD_BAT_CORRUPT },
    { .name = "table over a block",
      .patch = { { HEADER, 16, 8, FORGE_SLOT + FORGE_STRIDE } },
      .code = VHD_BAT_CORRUPT },
    { .name = "table over the footer",
      .patch = { { HEADER, 16, 8, FORGE_SLOT + 4 * FORGE_STRIDE } },
      .code = VHD_BAT_CORRUPT },
    { .name = "table cut by the end of the file",
      .patch = { { HEADER, 16, 8, FORGE_SLOT + 4 * FORGE_STRIDE - 512 },
                 { HEADER, 28, 4, 129 } },
      .code = VHD_BAT_CORRUPT },
    { .name = "no entries",
      .patch = { { HEADER, 28, 4, 0 } },
      .code = VHD_HEADER_CORRUPT },
    { .name = "an entry too few",
      .patch = { { HEADER, 28, 4, FORGE_NBLK - 1 } },
      .code = VHD_HEADER_CORRUPT },
    { .name = "just enough entries",
      .patch = { { HEADER, 28, 4, FORGE_NBLK } } },
    { .name = "2^32-1 entries",
      .patch = { { HEADER, 28, 4, UINT32_MAX } },
      .code = VHD_BAT_CORRUPT },
    { .name = "2^32-1 entries, and room for them",
      .patch = { { HEADER, 28, 4, UINT32_MAX },
                 { HEADER, 16, 8, 20ULL << 20 } },
      .stage = many_entries },
    { .name = "entries that overflow times 4",
      .patch = { { HEADER, 28, 4, 0x40000000 + FORGE_NBLK } },
      .code = VHD_BAT_CORRUPT },
    { .name = "block size 0",
      .patch = { { HEADER, 32, 4, 0 } },
      .code = VHD_BLOCK_SIZE },
    { .name = "block size of no power of two",
      .patch = { { HEADER, 32, 4, 3 * FORGE_BLOCK } },
      .code = VHD_BLOCK_SIZE },
    { .name = "block size 512",
      .patch = { { HEADER, 32, 4, 512 }, { HEADER, 28, 4, 2048 } },
      .code = VHD_BLOCK_SIZE },
    { .name = "block size 2 GiB",
      .patch = { { HEADER, 32, 4, 1U << 31 } },
      .code = VHD_BLOCK_SIZE },
    { .name = "block size 2^32-1",
      .patch = { { HEADER, 32, 4, UINT32_MAX } },
      .code = VHD_BLOCK_SIZE },
    { .name = "blocks larger than what lies there",
      .patch = { { HEADER, 32, 4, 2 << 20 } },
      .code = VHD_BAT_CORRUPT },
    { .name = "more blocks than the limit",
      .patch = { { FOOTERS, 48, 8, 2040ULL << 30 },
                 { HEADER, 28, 4, UINT32_MAX } },
      .code = VHD_LIMIT },
    { .name = "next is not all ones", .patch = { { HEADER, 8, 8, 0 } } },
    { .name = "garbage in the header's reserved bytes",
      .patch = { { HEADER, 60, 4, UINT32_MAX },
                 { HEADER, 768, 8, UINT64_MAX } } },
    { .name = "dynamic, but with a parent's name and locators",
      .patch = { { HEADER, 40, 8, UINT64_MAX },
                 { HEADER, 64, 8, 0x0041004200430044 },
                 { HEADER, 576, 8, UINT64_MAX },
                 { HEADER, 592, 8, UINT64_MAX } } },
  };
  hostile_run(shapes, ARRAY_SIZE(shapes));
}

/* -------------------------------------------------------------- block table */

#define SEC(n) (FORGE_SLOT / FORGE_SECTOR + (n) * (FORGE_STRIDE / FORGE_SECTOR))

/* Puts a gap of a sector before the second block: unaligned from there on. */
static void
unalign(struct forge *f)
{
  forge_insert(f, FORGE_SLOT + FORGE_STRIDE, FORGE_SECTOR);
  for (uint32_t blk = 1; blk < FORGE_NBLK; blk++) {
    uint64_t sec = unit_get(f->file, FORGE_BAT + blk * 4, 4);
    if (sec != UINT32_MAX)
      unit_put(f->file, FORGE_BAT + blk * 4, 4, sec + 1);
  }
}

/* The blocks of the file in another order than those of the disk. */
static void
reorder(struct forge *f)
{
  uint32_t entry[FORGE_NBLK];
  for (uint32_t blk = 0; blk < FORGE_NBLK; blk++)
    entry[blk] = (uint32_t)unit_get(f->file, FORGE_BAT + blk * 4, 4);
  unit_put(f->file, FORGE_BAT, 4, entry[5]);
  unit_put(f->file, FORGE_BAT + 5 * 4, 4, entry[0]);
  uint8_t was[FORGE_BLOCK];
  memcpy(was, f->disk, FORGE_BLOCK);
  memcpy(f->disk, f->disk + 5 * FORGE_BLOCK, FORGE_BLOCK);
  memcpy(f->disk + 5 * FORGE_BLOCK, was, FORGE_BLOCK);
}

/* The last block's end is cut off: behind the disk's end, so harmless, or
 * before it. */
static void
cut_last_block(struct forge *f, uint32_t keep)
{
  uint8_t footer[FORGE_SECTOR];
  memcpy(footer, forge_end(f), sizeof footer);
  forge_truncate(f, FORGE_SLOT + 3 * FORGE_STRIDE +
                      (1 + keep + 1) * FORGE_SECTOR);
  memcpy(forge_end(f), footer, sizeof footer);
}

static void
cut_last_block_fully(struct forge *f)
{
  cut_last_block(f, 16);
}

static void
cut_last_block_short(struct forge *f)
{
  cut_last_block(f, 15);
}

static void
zero_padding(struct forge *f)
{
  memset(f->file + FORGE_BAT + 4 * FORGE_ENTRIES, 0,
         FORGE_SECTOR - 4 * FORGE_ENTRIES);
}

static void
garbage_spare(struct forge *f)
{
  for (uint32_t i = FORGE_NBLK; i < FORGE_ENTRIES; i++)
    unit_put(f->file, FORGE_BAT + 4 * i, 4, SEC(0) + i);
}

static void
clear_bitmap(struct forge *f)
{
  memset(forge_bitmap(f, 0), 0, FORGE_SECTOR);
  memset(f->disk, 0, FORGE_BLOCK);
}

static void
garbage_behind_bitmap(struct forge *f)
{
  memset(forge_bitmap(f, 5) + FORGE_SPB / 8, 0xff,
         FORGE_SECTOR - FORGE_SPB / 8);
}

/* Bits of the last block that are not of the disk. */
static void
bits_behind_disk(struct forge *f)
{
  memset(forge_bitmap(f, 8), 0, 2);
  forge_bitmap(f, 8)[1] = 0x01;
  memset(f->disk + 8 * FORGE_BLOCK, 0, 15 * FORGE_SECTOR);
}

static void
test_table(void **state)
{
  (void)state;
  static const struct shape shapes[] = {
    { .name = "entry 0",
      .patch = { { BAT, 1, 4, 0 } },
      .code = VHD_BAT_CORRUPT },
    { .name = "entry in the dynamic header",
      .patch = { { BAT, 1, 4, 1 } },
      .code = VHD_BAT_CORRUPT },
    { .name = "entry in the table",
      .patch = { { BAT, 1, 4, FORGE_BAT / 512 } },
      .code = VHD_BAT_CORRUPT },
    { .name = "same entry twice",
      .patch = { { BAT, 1, 4, SEC(0) } },
      .code = VHD_BAT_CORRUPT },
    { .name = "blocks that overlap by a sector",
      .patch = { { BAT, 2, 4, SEC(1) - 1 } },
      .code = VHD_BAT_CORRUPT },
    { .name = "blocks that overlap by all but one",
      .patch = { { BAT, 1, 4, SEC(0) + 1 } },
      .code = VHD_BAT_CORRUPT },
    { .name = "entry past the end",
      .patch = { { BAT, 1, 4, SEC(5) } },
      .code = VHD_BAT_CORRUPT },
    { .name = "entry far past the end",
      .patch = { { BAT, 1, 4, 0x7fffffff } },
      .code = VHD_BAT_CORRUPT },
    { .name = "entry 0xfffffffe",
      .patch = { { BAT, 1, 4, 0xfffffffe } },
      .code = VHD_BAT_CORRUPT },
    { .name = "block over the footer",
      .patch = { { BAT, 5, 4, SEC(2) + 200 }, { BAT, 8, 4, UINT32_MAX } },
      .code = VHD_BAT_CORRUPT },
    { .name = "entry at the footer",
      .patch = { { BAT, 1, 4, SEC(4) } },
      .code = VHD_BAT_CORRUPT },
    { .name = "last block cut behind the disk",
      .edit = cut_last_block_fully },
    { .name = "last block cut in its data",
      .edit = cut_last_block_short,
      .code = VHD_BAT_CORRUPT },
    { .name = "unaligned blocks", .edit = unalign },
    { .name = "blocks out of order", .edit = reorder },
    { .name = "table padded with zeros", .edit = zero_padding },
    { .name = "garbage in spare entries", .edit = garbage_spare },
    { .name = "bitmap of zeros over data", .edit = clear_bitmap },
    { .name = "garbage behind the bitmap's last sector",
      .edit = garbage_behind_bitmap },
    { .name = "bits of the last block up to the disk's end",
      .edit = bits_behind_disk },
  };
  hostile_run(shapes, ARRAY_SIZE(shapes));
}

/* ------------------------------------------------------------------- batmap */

static void
batmap_lies(struct forge *f)
{
  uint8_t *header = f->file + FORGE_BATMAP;
  header[FORGE_SECTOR] |= 0x04; /* block 5, of which only parts are set */
  unit_put(header, 24, 4, ~(uint32_t)(0xa4 + 0x80));
}

/* A child with all that metadata can have. */
static void
batmap_and_locators(struct forge *f)
{
  size_t at = f->len - FORGE_SECTOR;

  forge_insert(f, at, LOCATOR_SLOTS * FORGE_SECTOR);
  unit_put(f->file, 60, 4, 4);
  unit_put(forge_end(f), 60, 4, 4);
  memset(f->file + FORGE_HEADER + 40, 'N', 16);
  for (unsigned i = 0; i < LOCATOR_SLOTS; i++)
    forge_locator(f, i, 0x57327275, FORGE_SECTOR,
                  forge_utf16(f, at + i * FORGE_SECTOR, ".\\none.vhd"),
                  at + i * FORGE_SECTOR);
}

static void
batmap_missing(struct forge *f)
{
  memset(f->file + FORGE_BATMAP, 0, 1024);
}

static void
test_batmap(void **state)
{
  (void)state;
  static const struct shape shapes[] = {
    { .name = "a child with a batmap and all locators", .base = XEN,
      .edit = batmap_and_locators, .code = VHD_PARENT_MISSING },
    { .name = "batmap's checksum bad",
      .base = XEN,
      .patch = { { ANYWHERE, FORGE_BATMAP + 24, 4, 0 } },
      .traits = UNCHECKED },
    { .name = "batmap of no sectors",
      .base = XEN,
      .patch = { { ANYWHERE, FORGE_BATMAP + 16, 4, 0 } },
      .code = VHD_BATMAP },
    { .name = "batmap of 2^32-1 sectors",
      .base = XEN,
      .patch = { { ANYWHERE, FORGE_BATMAP + 16, 4, UINT32_MAX } },
      .code = VHD_BATMAP },
    { .name = "batmap's version 9",
      .base = XEN,
      .patch = { { ANYWHERE, FORGE_BATMAP + 20, 4, 0x00090000 } },
      .code = VHD_BATMAP },
    { .name = "batmap beyond the file",
      .base = XEN,
      .patch = { { ANYWHERE, FORGE_BATMAP + 8, 8, 1ULL << 40 } },
      .code = VHD_BATMAP },
    { .name = "batmap at 2^63",
      .base = XEN,
      .patch = { { ANYWHERE, FORGE_BATMAP + 8, 8, 1ULL << 63 } },
      .code = VHD_BATMAP },
    { .name = "batmap over the table",
      .base = XEN,
      .patch = { { ANYWHERE, FORGE_BATMAP + 8, 8, FORGE_BAT } },
      .code = VHD_BATMAP },
    { .name = "batmap over a block",
      .base = XEN,
      .patch = { { ANYWHERE, FORGE_BATMAP + 8, 8, FORGE_SLOT + 1024 } },
      .code = VHD_BATMAP },
    { .name = "batmap's header under the table",
      .base = XEN,
      .patch = { { HEADER, 28, 4, 128 + 1 } },
      .traits = UNCHECKED },
    { .name = "batmap full where the bitmap is not",
      .base = XEN,
      .edit = batmap_lies,
      .traits = UNSOUND | NO_WRITE },
    { .name = "batmap missing",
      .base = XEN,
      .edit = batmap_missing,
      .traits = UNCHECKED },
    { .name = "batmap that is not Xen's", .edit = batmap_missing },
  };
  hostile_run(shapes, ARRAY_SIZE(shapes));
}

/* --------------------------------------------------------------- big images */

#define BIG_ENTRIES (2040U << 11) /* of 512 KiB each */
#define BIG_BAT (1U << 20)

/* Replaces DISK by one of 2040 GiB; entry(i) is what its table holds. */
static void
make_big(struct forge *f, uint32_t (*entry)(uint32_t i), uint64_t end)
{
  static uint8_t part[1 << 20];
  unit_put(f->file, 48, 8, 2040ULL << 30);
  unit_put(forge_end(f), 48, 8, 2040ULL << 30);
  unit_put(f->file, FORGE_HEADER + 16, 8, BIG_BAT);
  unit_put(f->file, FORGE_HEADER + 28, 4, BIG_ENTRIES);
  unit_put(f->file, FORGE_HEADER + 32, 4, 512 << 10);
  forge_seal(f);

  int fd = open(DISK, O_WRONLY | O_TRUNC | O_CLOEXEC);
  bool ok = fd >= 0 && pwrite(fd, f->file, 2048, 0) == 2048;
  for (uint32_t i = 0; ok && i < BIG_ENTRIES;) {
    uint32_t n = 0;
    off_t off = BIG_BAT + (off_t)i * 4;
    for (; n < sizeof part / 4 && i < BIG_ENTRIES; n++)
      unit_put(part, n * 4, 4, entry(i++));
    ok = pwrite(fd, part, n * 4, off) == (ssize_t)n * 4;
  }
  ok = ok && pwrite(fd, forge_end(f), 512, (off_t)end) == 512;
  close(fd);
  if (!ok)
    hostile_fail("%s: cannot be made", DISK);
}

static uint32_t
entry_none(uint32_t i)
{
  (void)i;
  return UINT32_MAX;
}

static uint32_t
entry_same(uint32_t i)
{
  (void)i;
  return 1 << 20;
}

static uint32_t
entry_overlapping(uint32_t i)
{
  return (1 << 20) + i;
}

static uint32_t
entry_packed(uint32_t i)
{
  /* 1025 sectors each: most of 2 TiB, all of it. */
  return (1 << 20) + (i ^ 1) * 1025U;
}

static uint32_t
entry_beyond(uint32_t i)
{
  return 0xfffffff0 - i % 16;
}

static void
big_empty(struct forge *f)
{
  make_big(f, entry_none, 64ULL << 20);
}

static void
big_same(struct forge *f)
{
  make_big(f, entry_same, 4ULL << 40);
}

static void
big_overlapping(struct forge *f)
{
  make_big(f, entry_overlapping, 4ULL << 40);
}

static void
big_beyond(struct forge *f)
{
  make_big(f, entry_beyond, 64ULL << 20);
}

static void
big_full(struct forge *f)
{
  make_big(f, entry_packed, (1ULL << 29) + BIG_ENTRIES * 1025ULL * 512);
}

static void
test_big(void **state)
{
  (void)state;
  static const struct shape shapes[] = {
    { .name = "four million blocks, none there",
      .stage = big_empty,
      .traits = LOOSE_SIZE },
    { .name = "four million blocks, all there",
      .stage = big_full,
      .traits = LOOSE_SIZE | UNCHECKED },
    { .name = "four million times the same block",
      .stage = big_same,
      .code = VHD_BAT_CORRUPT },
    { .name = "four million overlapping blocks",
      .stage = big_overlapping,
      .code = VHD_BAT_CORRUPT },
    { .name = "four million blocks beyond the end",
      .stage = big_beyond,
      .code = VHD_BAT_CORRUPT },
  };
  hostile_run(shapes, ARRAY_SIZE(shapes));
}

/* ------------------------------------------------------- while it is open */

static void
shrinks(void)
{
  struct forge f;
  struct vhd_image *image;
  struct vhd_error err;
  struct vhd_open_options opt = { .flags = VHD_OPEN_READONLY };
  forge_dynamic(&f, 'D');
  forge_write(&f, DISK);
  if (vhd_open(DISK, &opt, &image, &err) < 0)
    hostile_fail("%s", err.message);
  uint8_t buf[FORGE_SECTOR];
  if (vhd_pread(image, buf, sizeof buf, 0) < 0)
    hostile_fail("cannot be read before");
  if (truncate(DISK, FORGE_SLOT + FORGE_SECTOR + 100) < 0)
    hostile_fail("truncate");
  /* Half a sector, a whole block, a bitmap: never zeros in their place. */
  static const uint64_t offs[] = { 0, 5 * FORGE_BLOCK, 2 * FORGE_BLOCK + 512 };
  for (size_t i = 0; i < ARRAY_SIZE(offs); i++) {
    int r = vhd_pread(image, buf, sizeof buf, offs[i]);
    if (r != -EIO)
      hostile_fail("offset %llu: %d, not -EIO", (unsigned long long)offs[i],
                   r);
  }
  /* What was never there is still zeros. */
  if (vhd_pread(image, buf, sizeof buf, FORGE_BLOCK) < 0 || buf[7] != 0)
    hostile_fail("a hole cannot be read");
  vhd_close(image, NULL);
  forge_free(&f);
}

/* A byte in each block that is not there yet: what else is seen of it must be
 * zeros, whatever lay where it went. */
static void
expect_clean_blocks(struct forge *f)
{
  struct vhd_image *image;
  struct vhd_error err;
  forge_write(f, DISK);
  if (vhd_open(DISK, NULL, &image, &err) < 0)
    hostile_fail("%s", err.message);
  for (uint32_t blk = 0; blk < FORGE_NBLK; blk++) {
    size_t off = blk * FORGE_BLOCK + 5000;
    if (f->disk[off] != 0)
      continue;
    if (vhd_pwrite(image, "x", 1, off, 0) < 0)
      hostile_fail("write");
    f->disk[off] = 'x';
  }
  if (vhd_close(image, &err) < 0)
    hostile_fail("%s", err.message);
  hostile_compare(DISK, 0, f->disk, f->disk_len);
}

static void
stale_bytes_at_the_end(void)
{
  for (size_t n = 1; n < 10000; n += n < 600 ? 73 : 509)
    for (unsigned with_footer = 0; with_footer < 2; with_footer++) {
      struct forge f;
      forge_dynamic(&f, 'D');
      size_t at = f.len - FORGE_SECTOR;
      forge_insert(&f, at, n);
      memset(f.file + at, 0xee, n);
      if (!with_footer)
        forge_truncate(&f, at + n);
      expect_clean_blocks(&f);
      forge_free(&f);
    }
}

/* The same with a footer of 511 bytes, wherever it ends. */
static void
stale_old_footer(void)
{
  for (size_t n = 0; n < 8192; n += 512) {
    struct forge f;
    forge_dynamic(&f, 'D');
    forge_insert(&f, f.len - FORGE_SECTOR, n);
    forge_truncate(&f, f.len - 1);
    expect_clean_blocks(&f);
    forge_free(&f);
  }
}

static void
test_shrinks(void **state)
{
  (void)state;
  hostile_apart("the file shrinks while it is open", shrinks);
}

static void
test_stale(void **state)
{
  (void)state;
  hostile_apart("stale bytes at the end of the file", stale_bytes_at_the_end);
  hostile_apart("an old footer at the end of the file", stale_old_footer);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_header),  cmocka_unit_test(test_table),
    cmocka_unit_test(test_batmap),  cmocka_unit_test(test_big),
    cmocka_unit_test(test_shrinks), cmocka_unit_test(test_stale),
  };
  return cmocka_run_group_tests(tests, hostile_setup, hostile_teardown);
}
