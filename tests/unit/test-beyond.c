/* SPDX-License-Identifier: BSD-2-Clause */
/* test-beyond: what the block table leads to past the end of the disk stays as
 * it is, whatever is done to the disk; whether the size in effect is that of
 * the geometry, or the size field alone was made smaller. */
#include "config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arith.h"
#include "unit/hostile.h"
#include "unit/unit.h"

#define CHS_SIZE (15 * 4 * 17 * FORGE_SECTOR)

static struct vhd_image *
open_disk(uint32_t flags)
{
  const struct vhd_open_options opt = { .flags = flags };
  struct vhd_image *image;
  struct vhd_error err = { .message = "" };

  if (vhd_open(DISK, &opt, &image, &err) < 0)
    fail_msg("%s", err.message);
  return image;
}

/* Writes, zeroes and trims all over the disk; disk is its model. */
static void
hammer(uint32_t flags, uint8_t *disk)
{
  struct vhd_image *image = open_disk(flags);
  uint64_t size = vhd_size(image);
  uint8_t *buf = malloc(size);

  for (unsigned i = 0; i < 40; i++) {
    uint64_t off = unit_random() % (size / 512) * 512;
    uint64_t len = (unit_random() % 300 + 1) * 512;
    if (i % 4 == 0)
      off = 0, len = size;
    len = MIN(size - off, len);
    memset(buf, (int)(0x40 + i), size);
    int r = 0;
    switch (unit_random() % 4) {
    case 0:
      r = vhd_trim(image, len, off, 0);
      if (r == 0)
        r = vhd_pread(image, disk + off, len, off);
      break;
    case 1:
      r = vhd_zero(image, len, off, 0);
      memset(disk + off, 0, len);
      break;
    default:
      r = vhd_pwrite(image, buf, len, off, 0);
      memcpy(disk + off, buf, len);
    }
    assert_int_equal(r, 0);
    if (i % 3 == 0)
      assert_int_equal(vhd_flush(image), 0);
  }
  free(buf);
  assert_int_equal(vhd_close(image, NULL), 0);
}

static void
compare(const uint8_t *disk, size_t len)
{
  struct vhd_image *image = open_disk(VHD_OPEN_READONLY);
  uint8_t *buf = malloc(len);

  assert_int_equal(vhd_size(image), len);
  assert_int_equal(vhd_pread(image, buf, len, 0), 0);
  for (size_t i = 0; i < len; i++)
    if (buf[i] != disk[i])
      fail_msg("byte %zu is %#x, not %#x", i, buf[i], disk[i]);
  free(buf);
  vhd_close(image, NULL);
}

/* ----------------------------------------------------------------- checking */

struct notes {
  char text[2000];
};

static void
collect(void *opaque, const struct vhd_finding *finding)
{
  struct notes *notes = opaque;
  size_t used = strlen(notes->text);

  snprintf(notes->text + used, sizeof notes->text - used, "%s\n",
           finding->message);
}

/* Sound, and it says so. */
static void
check_says(uint32_t flags, const char *part)
{
  const struct vhd_check_options opt = { .open.flags = flags };
  struct vhd_check_result result;
  struct notes notes = { "" };

  assert_int_equal(vhd_check(DISK, &opt, collect, &notes, &result, NULL), 0);
  if (result.errors > 0 || !strstr(notes.text, part))
    fail_msg("%u errors: %s", result.errors, notes.text);
}

/* ----------------------------------------------------------------- shrunken */

/* What a tool does that knows of nothing but the field. */
static void
set_size(uint64_t size)
{
  uint8_t footer[512];
  struct stat st;

  int fd = open(DISK, O_RDWR | O_CLOEXEC);
  assert_true(fd >= 0 && fstat(fd, &st) == 0);
  const off_t place[] = { 0, st.st_size - 512 };
  for (unsigned i = 0; i < 2; i++) {
    assert_int_equal(pread(fd, footer, 512, place[i]), 512);
    unit_put(footer, 48, 8, size);
    unit_checksum(footer, 512, 64);
    assert_int_equal(pwrite(fd, footer, 512, place[i]), 512);
  }
  close(fd);
}

static void
test_geometry(void **state)
{
  (void)state;
  struct forge f;

  forge_dynamic(&f, 'D');
  forge_write(&f, DISK);
  check_says(VHD_OPEN_SIZE_CHS, "1 blocks lie past the end of the disk");
  for (unsigned i = 0; i < 5; i++) {
    hammer(VHD_OPEN_SIZE_CHS, f.disk);
    compare(f.disk, f.disk_len);
    check_says(0, "");
  }
  forge_free(&f);
}

static void
try_shrunken(uint64_t size, const char *says)
{
  struct forge f;

  forge_dynamic(&f, 'D');
  forge_write(&f, DISK);
  set_size(size);
  check_says(0, says);
  for (unsigned i = 0; i < 5; i++) {
    set_size(size);
    hammer(0, f.disk);
    check_says(0, says);
    set_size(f.disk_len);
    compare(f.disk, f.disk_len);
  }
  forge_free(&f);
}

static void
test_shrunken(void **state)
{
  (void)state;
  try_shrunken(3 * FORGE_BLOCK, "2 blocks lie past the end of the disk");
  try_shrunken(1 * FORGE_BLOCK, "3 blocks lie past the end of the disk");
}

/* The disk's last block is whole, and its end is somebody's too. */
static void
test_within_block(void **state)
{
  (void)state;
  try_shrunken(2 * FORGE_BLOCK + 5 * 512, "2 blocks lie past");
  try_shrunken(5 * FORGE_BLOCK + 70 * 512, "1 blocks lie past");
}

/* ---------------------------------------------------------------- far files */

/* The last block, which is short, is moved to the end of what a table can name,
 * and the file ends far behind. */
static void
stretch(const struct forge *f)
{
  const uint32_t far = UINT32_MAX - 2 * (FORGE_SPB + 1);
  uint8_t entry[4], place[FORGE_STRIDE], footer[512];

  int fd = open(DISK, O_RDWR | O_CLOEXEC);
  assert_int_equal(pread(fd, footer, 512, (off_t)f->len - 512), 512);
  assert_int_equal(pread(fd, entry, 4, FORGE_BAT + 4 * 8), 4);
  const off_t near = (off_t)unit_get(entry, 0, 4) * 512;
  const ssize_t len = pread(fd, place, sizeof place, near);
  assert_true(len > 512);
  assert_int_equal(ftruncate(fd, near), 0);
  assert_int_equal(pwrite(fd, place, 17 * 512, (off_t)far * 512), 17 * 512);
  unit_put(entry, 0, 4, far);
  assert_int_equal(pwrite(fd, entry, 4, FORGE_BAT + 4 * 8), 4);
  assert_int_equal(pwrite(fd, footer, 512, (off_t)3 << 40), 512);
  close(fd);
}

/* Uses up what is known to be free, and that nobody waits for. */
static void
use_up(uint8_t *disk)
{
  struct vhd_image *image = open_disk(0);

  memset(disk + FORGE_BLOCK, 0x77, FORGE_BLOCK);
  for (unsigned i = 0; i < 40; i++) {
    assert_int_equal(vhd_trim(image, FORGE_BLOCK, FORGE_BLOCK, 0), 0);
    assert_int_equal(vhd_pwrite(image, disk + FORGE_BLOCK, FORGE_BLOCK,
                                FORGE_BLOCK, 0), 0);
  }
  assert_int_equal(vhd_close(image, NULL), 0);
}

/* No block is put where no table leads to. */
static void
test_far_file(void **state)
{
  (void)state;
  struct forge f;

  forge_dynamic(&f, 'D');
  forge_write(&f, DISK);
  stretch(&f);
  use_up(f.disk);
  compare(f.disk, f.disk_len);
  for (unsigned i = 0; i < 5; i++) {
    hammer(0, f.disk);
    compare(f.disk, f.disk_len);
    check_says(0, "");
  }
  forge_free(&f);
}

/* ------------------------------------------------------------------ garbage */

static void
read_table(uint8_t *table)
{
  int fd = open(DISK, O_RDONLY | O_CLOEXEC);
  assert_int_equal(pread(fd, table, 512, FORGE_BAT), 512);
  close(fd);
}

/* No block, so its space is nobody's; but the entry stays, and the disk can be
 * read and written. */
static void
test_no_blocks(void **state)
{
  (void)state;
  static const uint32_t entries[] = {
    0, 1, FORGE_BAT / 512, 0xfffffffe, 0x80000000, FORGE_SLOT / 512 + 1,
    FORGE_SLOT / 512,
  };
  const unsigned first = 4 * FORGE_NBLK;
  uint8_t before[512], after[512];
  struct forge f;

  forge_dynamic(&f, 'D');
  for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
    unit_put(f.file, FORGE_BAT + 4 * (FORGE_NBLK + i), 4, entries[i]);
  forge_write(&f, DISK);
  read_table(before);
  check_says(0, "5 entries of the block table past the end of the disk cannot "
                "be blocks (the first is entry 9, for sector 0)");
  hammer(0, f.disk);
  compare(f.disk, f.disk_len);
  read_table(after);
  assert_memory_equal(before + first, after + first, 512 - first);
  forge_free(&f);
}

/* -------------------------------------------------------------- long tables */

/* A table of n entries at the end of the file, of which all past the disk are
 * a hole. */
static void
lengthen_table(struct forge *f, uint64_t n)
{
  uint8_t end[512];
  off_t at = (off_t)round_up(f->len - 512, 4096);

  memcpy(end, forge_end(f), sizeof end);
  unit_put(f->file, FORGE_HEADER + 16, 8, (uint64_t)at);
  unit_put(f->file, FORGE_HEADER + 28, 4, n);
  unit_checksum(f->file + FORGE_HEADER, 1024, 36);
  forge_truncate(f, f->len - 512);
  forge_write(f, DISK);
  int fd = open(DISK, O_RDWR | O_CLOEXEC);
  if (fd < 0 ||
      pwrite(fd, f->file + FORGE_BAT, 4 * FORGE_NBLK, at) != 4 * FORGE_NBLK ||
      pwrite(fd, end, 512, at + (off_t)n * 4) != 512)
    abort();
  close(fd);
}

static void
longest_table(struct forge *f)
{
  lengthen_table(f, (1ULL << 32) / FORGE_SPB);
}

static void
longer_table(struct forge *f)
{
  lengthen_table(f, (1ULL << 32) / FORGE_SPB + 128);
}

/* Each entry could be a block, but all together do not fit into the file. */
static void
crowded_table(struct forge *f)
{
  const uint32_t n = 1 << 20;
  off_t at = (off_t)round_up(f->len - 512, 4096);

  lengthen_table(f, n);
  int fd = open(DISK, O_RDWR | O_CLOEXEC);
  uint8_t *table = malloc(4 * n);
  for (uint32_t i = 0; i < n - FORGE_NBLK; i++)
    unit_put(table, 4 * i, 4, FORGE_SLOT / 512 + 100 + i % 50);
  if (fd < 0 || pwrite(fd, table, 4 * (n - FORGE_NBLK),
                       at + 4 * FORGE_NBLK) < 0)
    abort();
  free(table);
  close(fd);
}

static void
test_long_tables(void **state)
{
  (void)state;
  static const struct shape shapes[] = {
    { .name = "a hole as long as a table can be", .stage = longest_table },
    { .name = "longer than any table can be", .stage = longer_table },
    { .name = "more blocks than the file can hold", .stage = crowded_table },
  };
  hostile_run(shapes, ARRAY_SIZE(shapes));
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_geometry),
    cmocka_unit_test(test_shrunken),
    cmocka_unit_test(test_within_block),
    cmocka_unit_test(test_far_file),
    cmocka_unit_test(test_no_blocks),
    cmocka_unit_test(test_long_tables),
  };
  return cmocka_run_group_tests(tests, hostile_setup, hostile_teardown);
}
