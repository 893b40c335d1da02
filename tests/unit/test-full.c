/* SPDX-License-Identifier: BSD-2-Clause */
/* test-full: a file system without space.  Mounts one of a few megabytes where
 * nobody else sees it; only root may. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/local.h"
#include "unit/unit.h"

#define MIB ((uint64_t)1 << 20)
#define SPACE "16m"

/* Takes all the space but `leave` bytes. */
static void
fill(uint64_t leave)
{
  char buf[65536];
  memset(buf, 1, sizeof buf);
  int fd = open("filler", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  while (write(fd, buf, sizeof buf) > 0)
    ;
  struct stat st;
  assert_int_equal(fstat(fd, &st), 0);
  uint64_t size = (uint64_t)st.st_size;
  assert_int_equal(ftruncate(fd, (off_t)(size > leave ? size - leave : 0)),
                   0);
  close(fd);
}

static void
test_file(void **state)
{
  (void)state;
  struct vhd_file *file;
  uint8_t *buf = calloc(1, MIB);
  assert_non_null(buf);
  assert_int_equal(local_create("file", &file, NULL), 0);
  fill(256 << 10);
  /* A part fits, the whole does not. */
  assert_int_equal(file_write(file, buf, MIB, 0), -ENOSPC);
  assert_int_equal(
    file_do(file, VHD_IO_EXTEND, 0, 2 * MIB, VHD_IO_RESERVE), -ENOSPC);
  /* Growing without space is no trouble yet. */
  assert_int_equal(file_do(file, VHD_IO_EXTEND, 0, 2 * MIB, 0), 0);
  assert_int_equal(file_write(file, buf, MIB, MIB), -ENOSPC);
  unlink("filler");
  assert_int_equal(file_write(file, buf, MIB, MIB), 0);
  file_close(file);
  unlink("file");
  free(buf);
}

static void
ignore_notes(void *opaque, const struct vhd_finding *finding)
{
  (void)opaque;
  if (finding->severity == VHD_BROKEN)
    fail_msg("%s", finding->message);
}

static void
check_sound(void)
{
  struct vhd_check_result result;
  struct vhd_error err;
  struct vhd_check_options opt = { .open.flags = VHD_OPEN_READONLY };
  if (vhd_check("disk.vhd", &opt, ignore_notes, NULL, &result, &err) < 0)
    fail_msg("%s", err.message);
}

static struct vhd_image *
open_disk(uint32_t flags)
{
  struct vhd_open_options opt = { .flags = flags };
  struct vhd_image *image;
  struct vhd_error err;
  if (vhd_open("disk.vhd", &opt, &image, &err) < 0)
    fail_msg("%s", err.message);
  return image;
}

static void
check_block(struct vhd_image *image, uint32_t blk, int value)
{
  uint8_t buf[4096];
  for (uint64_t off = 0; off < MIB; off += sizeof buf) {
    int r = vhd_pread(image, buf, sizeof buf, blk * MIB + off);
    if (r < 0)
      fail_msg("block %u: %s", blk, strerror(-r));
    for (size_t i = 0; i < sizeof buf; i++)
      if (buf[i] != value)
        fail_msg("block %u at %llu is %d, not %d", blk,
                 (unsigned long long)off + i, buf[i], value);
  }
}

/* Writes block after block until there is no space; then again when there
 * is. */
static void
test_image(void **state)
{
  (void)state;
  struct vhd_create_options create = { .size = 64 * MIB, .block_size = MIB };
  struct vhd_error err;
  unlink("filler");
  if (vhd_create("disk.vhd", &create, &err) < 0)
    fail_msg("%s", err.message);
  struct vhd_image *image = open_disk(0);
  uint8_t *buf = malloc(MIB);
  assert_non_null(buf);

  uint32_t written = 0;
  int r = 0;
  while (written < 64 && r == 0) {
    memset(buf, (int)written + 1, MIB);
    r = vhd_pwrite(image, buf, MIB, written * MIB, 0);
    written += r == 0;
  }
  assert_int_equal(r, -ENOSPC);
  assert_true(written > 4 && written < 16);
  for (uint32_t blk = 0; blk < written; blk++)
    check_block(image, blk, (int)blk + 1);

  /* What is there can still be changed and made durable. */
  memset(buf, 0x77, MIB);
  assert_int_equal(vhd_pwrite(image, buf, MIB, 0, 0), 0);
  assert_int_equal(vhd_flush(image), 0);

  /* Space that is given back can be used again. */
  assert_int_equal(vhd_trim(image, 2 * MIB, MIB, VHD_FUA), 0);
  assert_int_equal(vhd_flush(image), 0);
  memset(buf, 0x78, MIB);
  assert_int_equal(vhd_pwrite(image, buf, MIB, 40 * MIB, 0), 0);
  check_block(image, 40, 0x78);
  check_block(image, 1, 0);
  check_block(image, 3, 4);
  if (vhd_close(image, &err) < 0)
    fail_msg("%s", err.message);
  check_sound();

  image = open_disk(VHD_OPEN_READONLY);
  check_block(image, 0, 0x77);
  check_block(image, 1, 0);
  check_block(image, 40, 0x78);
  for (uint32_t blk = 3; blk < written; blk++)
    check_block(image, blk, (int)blk + 1);
  vhd_close(image, NULL);
  unlink("disk.vhd");
  free(buf);
}

/* What was trimmed is used again, though nobody has flushed. */
static void
test_trimmed(void **state)
{
  (void)state;
  struct vhd_create_options create = { .size = 64 * MIB, .block_size = MIB };
  struct vhd_error err;
  unlink("filler");
  if (vhd_create("disk.vhd", &create, &err) < 0)
    fail_msg("%s", err.message);
  struct vhd_image *image = open_disk(0);
  uint8_t *buf = malloc(MIB);
  assert_non_null(buf);
  uint64_t n = 0;
  int r = 0;
  memset(buf, 0x11, MIB);
  while (r == 0) {
    r = vhd_pwrite(image, buf, MIB, n * MIB, 0);
    n += r == 0;
  }
  assert_int_equal(r, -ENOSPC);
  assert_int_equal(vhd_trim(image, n * MIB, 0, 0), 0);
  for (uint64_t i = 0; i < n; i++)
    assert_int_equal(vhd_pwrite(image, buf, MIB, (20 + i) * MIB, 0), 0);
  if (vhd_close(image, &err) < 0)
    fail_msg("%s", err.message);
  check_sound();
  unlink("disk.vhd");
  free(buf);
}

/* In a child, where blocks get their space as they are written: what was
 * acknowledged can be made durable. */
static void
test_child(void **state)
{
  (void)state;
  struct vhd_create_options create = { .size = 4096 * MIB, .block_size = MIB };
  struct vhd_error err;
  uint8_t buf[4096];
  unlink("filler");
  int e = vhd_create("base.vhd", &create, &err);
  create.parent = "base.vhd";
  if (e < 0 || vhd_create("disk.vhd", &create, &err) < 0)
    fail_msg("%s", err.message);
  struct vhd_image *image = open_disk(0);
  fill(512 << 10);
  uint64_t n = 0;
  int r = 0;
  while (r == 0 && n < 4096) {
    memset(buf, (int)n, sizeof buf);
    r = vhd_pwrite(image, buf, sizeof buf, n * MIB + 8192, 0);
    n += r == 0;
  }
  assert_int_equal(r, -ENOSPC);
  assert_true(n > 10);
  assert_int_equal(vhd_flush(image), 0);
  if (vhd_close(image, &err) < 0)
    fail_msg("%s", err.message);
  check_sound();
  image = open_disk(VHD_OPEN_READONLY);
  for (uint64_t blk = 0; blk < n; blk++) {
    assert_int_equal(vhd_pread(image, buf, 1, blk * MIB + 8192), 0);
    assert_int_equal(buf[0], (uint8_t)blk);
  }
  vhd_close(image, NULL);
  unlink("disk.vhd");
  unlink("base.vhd");
}

/* With only so much space left, at every point of an allocation: the request
 * fails or is done, and the image is sound and holds what was flushed. */
static void
test_every_point(void **state)
{
  (void)state;
  struct vhd_create_options create = { .size = 16 * MIB, .block_size = MIB };
  struct vhd_error err;
  uint8_t *buf = malloc(MIB);
  assert_non_null(buf);
  for (uint64_t leave = 0; leave < 3 * MIB; leave += 64 << 10) {
    unlink("filler");
    if (vhd_create("disk.vhd", &create, &err) < 0)
      fail_msg("%s", err.message);
    fill(leave);
    struct vhd_image *image = open_disk(0);
    int value[3] = { 0 };
    for (int blk = 0; blk < 3; blk++) {
      memset(buf, blk + 1, MIB);
      int r = vhd_pwrite(image, buf, MIB, (uint64_t)blk * MIB, 0);
      assert_true(r == 0 || r == -ENOSPC);
      value[blk] = r == 0 ? blk + 1 : -1;
    }
    int flushed = vhd_flush(image);
    int closed = vhd_close(image, &err);
    check_sound();
    unlink("filler");
    image = open_disk(VHD_OPEN_READONLY);
    for (uint32_t blk = 0; blk < 3; blk++)
      if (value[blk] > 0 && flushed == 0 && closed == 0)
        check_block(image, blk, value[blk]);
    vhd_close(image, NULL);
    unlink("disk.vhd");
  }
  free(buf);
}

int
main(int argc, char **argv)
{
  static char folder[] = "vhdkit-full.XXXXXX";
  if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
      mkdtemp(folder) == NULL ||
      mount("vhdkit-full", folder, "tmpfs", 0, "size=" SPACE) < 0 ||
      chdir(folder) < 0) {
    rmdir(folder);
    puts("SKIP: a file system can be mounted only by root");
    return 77;
  }
  /* Journals are apart: that there is no space for them is another matter. */
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_file),
    cmocka_unit_test(test_image),
    cmocka_unit_test(test_trimmed),
    cmocka_unit_test(test_child),
    cmocka_unit_test(test_every_point),
  };
  if (argc > 1)
    cmocka_set_test_filter(argv[1]);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  if (chdir("..") < 0 || umount2(folder, MNT_DETACH) < 0 || rmdir(folder) < 0)
    return 1;
  return failed;
}
