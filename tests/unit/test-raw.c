/* SPDX-License-Identifier: BSD-2-Clause */
/* test-raw: files opened with VHD_OPEN_RAW: every byte is the disk's, none is
 * the library's, whatever it looks like. */
#include "config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/unit.h"
#include "vhdkit.h"

#define SECTOR 512
#define SIZE (64 * SECTOR)

static void
write_file(const char *path, const uint8_t *data, size_t len)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, len), len);
  assert_int_equal(close(fd), 0);
}

/* The file is these bytes, and no more. */
static void
check_file(const char *path, const uint8_t *data, size_t len)
{
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_size, len);
  uint8_t *got = malloc(len);
  int fd = open(path, O_RDONLY);
  assert_true(fd >= 0 && got != NULL);
  assert_int_equal(read(fd, got, len), len);
  assert_memory_equal(got, data, len);
  assert_int_equal(close(fd), 0);
  free(got);
}

static struct vhd_image *
open_raw(const char *path, uint64_t size)
{
  struct vhd_open_options opt = {.flags = VHD_OPEN_RAW};
  struct vhd_image *image;
  struct vhd_error err;
  struct vhd_info info;
  if (vhd_open(path, &opt, &image, &err) < 0)
    fail_msg("%s", err.message);
  vhd_get_info(image, &info);
  assert_int_equal(info.type, VHD_RAW);
  assert_int_equal(info.size, size);
  assert_int_equal(vhd_size(image), size);
  return image;
}

static void
close_raw(struct vhd_image *image)
{
  struct vhd_error err;
  if (vhd_close(image, &err) < 0)
    fail_msg("%s", err.message);
}

static void
test_content(void **state)
{
  (void)state;
  uint8_t data[SIZE], got[SIZE], page[4 * SECTOR];
  for (size_t i = 0; i < sizeof data; i++)
    data[i] = (uint8_t)unit_random();
  for (size_t i = 0; i < sizeof page; i++)
    page[i] = (uint8_t)unit_random();
  write_file("disk.raw", data, sizeof data);

  struct vhd_image *image = open_raw("disk.raw", SIZE);
  assert_int_equal(vhd_pread(image, got, SIZE, 0), 0);
  assert_memory_equal(got, data, SIZE);
  /* The beginning, across sectors, and the very end, where a footer would
   * be. */
  static const uint32_t offs[] = {0, 9 * SECTOR - 100, SIZE - sizeof page};
  for (size_t i = 0; i < ARRAY_SIZE(offs); i++) {
    assert_int_equal(vhd_pwrite(image, page, sizeof page, offs[i], 0), 0);
    memcpy(data + offs[i], page, sizeof page);
  }
  assert_int_equal(vhd_zero(image, 3000, 20 * SECTOR + 7, 0), 0);
  memset(data + 20 * SECTOR + 7, 0, 3000);
  assert_int_equal(vhd_flush(image), 0);
  check_file("disk.raw", data, SIZE);
  assert_int_equal(vhd_pread(image, got, SIZE, 0), 0);
  assert_memory_equal(got, data, SIZE);
  /* The end of the file is the end of the disk. */
  assert_true(vhd_pread(image, got, SECTOR, SIZE - 1) < 0);
  assert_true(vhd_pwrite(image, page, SECTOR, SIZE - 1, 0) < 0);
  assert_true(vhd_zero(image, SECTOR, SIZE, 0) < 0);
  close_raw(image);
  check_file("disk.raw", data, SIZE);
}

static void
test_vhd_stays_raw(void **state)
{
  (void)state;
  static const uint32_t types[] = {VHD_FIXED, VHD_DYNAMIC};
  for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
    struct vhd_create_options create = {.type = types[i], .size = 1 << 20};
    struct vhd_error err;
    struct stat st;
    uint8_t got[SECTOR];
    unlink("disk.vhd");
    if (vhd_create("disk.vhd", &create, &err) < 0)
      fail_msg("%s", err.message);
    assert_int_equal(stat("disk.vhd", &st), 0);
    const uint64_t footer = (uint64_t)st.st_size - SECTOR;

    /* The footer is data like any other, to be read and to be destroyed. */
    struct vhd_image *image = open_raw("disk.vhd", footer + SECTOR);
    assert_int_equal(vhd_pread(image, got, SECTOR, footer), 0);
    assert_memory_equal(got, "conectix", 8);
    close_raw(image);
    image = open_raw("disk.vhd", footer + SECTOR);
    assert_int_equal(vhd_zero(image, SECTOR, footer, 0), 0);
    close_raw(image);
    image = open_raw("disk.vhd", footer + SECTOR);
    assert_int_equal(vhd_pread(image, got, SECTOR, footer), 0);
    for (size_t k = 0; k < SECTOR; k++)
      assert_int_equal(got[k], 0);
    close_raw(image);
  }
}

static int
enter(void **state)
{
  char folder[] = "raw.XXXXXX";
  (void)state;
  return mkdtemp(folder) == NULL || chdir(folder) < 0;
}

/* A file need not be whole sectors; not a byte more is the disk's. */
static void
test_odd_size(void **state)
{
  (void)state;
  static const uint32_t sizes[] = {1, 511, 513, 8 * SECTOR + 300};
  for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
    const uint32_t size = sizes[i];
    uint8_t data[9 * SECTOR], got[9 * SECTOR];
    memset(data, 'd', sizeof data);
    write_file("odd.raw", data, size);
    struct vhd_image *image = open_raw("odd.raw", size);
    assert_int_equal(vhd_pread(image, got, size, 0), 0);
    assert_memory_equal(got, data, size);
    assert_int_equal(vhd_pwrite(image, "w", 1, size - 1, 0), 0);
    data[size - 1] = 'w';
    assert_true(vhd_pwrite(image, "w", 1, size, 0) < 0);
    assert_true(vhd_pread(image, got, 1, size) < 0);
    close_raw(image);
    check_file("odd.raw", data, size);
    image = open_raw("odd.raw", size);
    assert_int_equal(vhd_zero(image, size, 0, 0), 0);
    memset(data, 0, size);
    close_raw(image);
    check_file("odd.raw", data, size);
  }
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_content),
    cmocka_unit_test(test_vhd_stays_raw),
    cmocka_unit_test(test_odd_size),
  };
  return cmocka_run_group_tests(tests, enter, NULL);
}
