/* SPDX-License-Identifier: BSD-2-Clause */
/* test-patched: a file with changes laid over it reads as if they had been
 * made, whatever lies over what. */
#include "config.h"

#include <errno.h>

#include "store/patched.h"
#include "unit/unit.h"

#define SIZE 200
#define ROOM 300 /* to where changes may make it longer */

static uint8_t content[SIZE];

static int
read_content(struct vhd_file *file, struct vhd_io *io)
{
  (void)file;
  assert_true(io->off + io->len <= SIZE);
  memcpy(io->buf, content + io->off, io->len);
  return 0;
}

static int
size_of_content(struct vhd_file *file, uint64_t *size)
{
  (void)file;
  *size = SIZE;
  return 0;
}

static struct vhd_file *
plain_file(void)
{
  static const struct file_ops ops = { .perform = read_content,
                                       .size = size_of_content };
  static struct vhd_file file = { .ops = &ops, .fd = -1 };

  for (size_t i = 0; i < SIZE; i++)
    content[i] = (uint8_t)(i + 1);
  return &file;
}

static void
compare(struct patched *over, const uint8_t *model, uint64_t len)
{
  uint8_t buf[ROOM];
  uint64_t size;

  assert_int_equal(file_size(&over->file, &size), 0);
  assert_int_equal(size, len);
  for (uint64_t off = 0; off < len; off += 7) {
    uint64_t n = 1 + unit_random() % (len - off);
    assert_int_equal(file_read(&over->file, buf, n, off), 0);
    assert_memory_equal(buf, model + off, n);
  }
  assert_int_equal(file_read(&over->file, buf, 2, len - 1), -EIO);
}

/* Changes at random, against an array. */
static void
test_changes(void **state)
{
  (void)state;
  for (int round = 0; round < 300; round++) {
    struct patched over;
    uint8_t model[ROOM] = { 0 }, bytes[ROOM];
    uint64_t end = SIZE;
    patched_init(&over, plain_file());
    memcpy(model, content, SIZE);
    for (int i = 0; i < 20; i++) {
      uint64_t off = unit_random() % (ROOM - 1);
      uint64_t len = 1 + unit_random() % 40;
      len = len < ROOM - off ? len : ROOM - off;
      bool zero = unit_random() % 3 == 0;
      memset(bytes, zero ? 0 : 128 + i, len);
      assert_int_equal(patched_change(&over, zero ? NULL : bytes, len, off),
                       0);
      memcpy(model + off, bytes, len);
      end = off + len > end ? off + len : end;
      compare(&over, model, end);
    }
    for (size_t i = 1; i < over.n; i++)
      assert_true(over.patch[i - 1].off + over.patch[i - 1].len <=
                  over.patch[i].off);
    patched_free(&over);
  }
}

static void
test_add(void **state)
{
  (void)state;
  static const struct {
    uint64_t off, len;
    int result;
  } rows[] = {
    { 100, 10, 0 },      { 100, 10, -EINVAL }, { 109, 1, -EINVAL },
    { 90, 11, -EINVAL }, { 90, 40, -EINVAL },  { 110, 5, 0 },
    { 95, 5, 0 },        { 0, 1, 0 },
  };
  struct patched over;

  patched_init(&over, plain_file());
  for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
    assert_int_equal(patched_add(&over, content, rows[i].len, rows[i].off),
                     rows[i].result);
  patched_free(&over);
}

static void
test_least(void **state)
{
  (void)state;
  struct patched over;
  uint8_t byte = 1;
  uint64_t size;

  patched_init(&over, plain_file());
  over.least = 250;
  assert_int_equal(file_size(&over.file, &size), 0);
  assert_int_equal(size, 250);
  assert_int_equal(file_read(&over.file, &byte, 1, 249), 0);
  assert_int_equal(byte, 0);
  assert_int_equal(file_write(&over.file, &byte, 1, 0), -EROFS);
  patched_free(&over);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_changes),
    cmocka_unit_test(test_add),
    cmocka_unit_test(test_least),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
