/* SPDX-License-Identifier: BSD-2-Clause */
/* test-disk: disks of the caller's own making as sources and targets. */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "unit/unit.h"
#include "vhdkit.h"

#define SIZE (4U << 20)
#define MORE (1U << 20)
#define FULL (SIZE + MORE)
#define IMAGE "disk.vhd"
#define CALLED "far away"

/* Bytes in memory, and what was asked of them. */
struct memory {
  struct vhd_disk disk;
  uint8_t bytes[FULL];
  bool known;   /* it tells where it has data */
  int error;    /* of writes and zeros, if not 0 */
  uint64_t read, written, zeroed;
  unsigned flushes;
};

static struct memory memory;

static int
memory_read(void *opaque, void *buf, size_t len, uint64_t off)
{
  struct memory *m = opaque;

  assert_true(off + len <= m->disk.size);
  memcpy(buf, m->bytes + off, len);
  m->read += len;
  return 0;
}

static uint64_t
memory_next_data(void *opaque, uint64_t off)
{
  const struct memory *m = opaque;

  while (m->known && off < m->disk.size && m->bytes[off] == 0)
    off++;
  return off < m->disk.size ? off : UINT64_MAX;
}

static int
memory_write(void *opaque, const void *buf, size_t len, uint64_t off)
{
  struct memory *m = opaque;

  assert_true(off + len <= m->disk.size);
  if (m->error != 0)
    return m->error;
  memcpy(m->bytes + off, buf, len);
  m->written += len;
  return 0;
}

static int
memory_zero(void *opaque, uint64_t len, uint64_t off)
{
  struct memory *m = opaque;

  assert_true(off + len <= m->disk.size);
  if (m->error != 0)
    return m->error;
  memset(m->bytes + off, 0, len);
  m->zeroed += len;
  return 0;
}

static int
memory_flush(void *opaque)
{
  ((struct memory *)opaque)->flushes++;
  return 0;
}

static void
begin(uint64_t size, uint8_t fill, bool known)
{
  memset(&memory, 0, sizeof memory);
  memset(memory.bytes, fill, sizeof memory.bytes);
  memory.known = known;
  memory.disk = (struct vhd_disk){
    .opaque = &memory,
    .size = size,
    .read = memory_read,
    .next_data = memory_next_data,
    .write = memory_write,
    .zero = memory_zero,
    .flush = memory_flush,
  };
}

/* What the tests' disks hold: data, zeros, a page of data at the end. */
static void
fill(uint8_t *bytes)
{
  memset(bytes, 0, SIZE);
  memset(bytes + 100000, 7, 300000);
  memset(bytes + SIZE - 4096, 9, 4096);
}

static const struct vhd_open_options as_source = {
  .flags = VHD_OPEN_RAW | VHD_OPEN_READONLY,
  .disk = &memory.disk,
};

static int
to_image(struct vhd_error *err)
{
  const struct vhd_convert_options opt = {
    .open = as_source,
    .flags = VHD_CONVERT_OVERWRITE,
  };

  return vhd_convert(CALLED, IMAGE, &opt, err);
}

static int
from_image(uint32_t flags, struct vhd_error *err)
{
  const struct vhd_convert_options opt = {
    .disk = &memory.disk,
    .flags = flags,
  };

  return vhd_convert(IMAGE, CALLED, &opt, err);
}

static void
test_open(void **state)
{
  struct vhd_open_options opt = as_source;
  struct vhd_image *image;
  struct vhd_error err;
  struct vhd_info info;
  struct vhd_run runs[4];
  uint8_t got[4096];
  unsigned n = ARRAY_SIZE(runs);

  (void)state;
  begin(SIZE, 0, true);
  fill(memory.bytes);
  assert_int_equal(vhd_open(CALLED, &opt, &image, &err), 0);
  vhd_get_info(image, &info);
  assert_string_equal(info.path, CALLED);
  assert_int_equal(info.type, VHD_RAW);
  assert_int_equal(vhd_size(image), SIZE);
  assert_int_equal(vhd_pread(image, got, sizeof got, 100000), 0);
  assert_memory_equal(got, memory.bytes + 100000, sizeof got);
  assert_int_equal(vhd_pwrite(image, got, sizeof got, 0, 0), -EROFS);
  assert_int_equal(vhd_map(image, SIZE, 0, runs, &n), 0);
  assert_int_equal(runs[0].kind, VHD_RUN_DATA);
  assert_int_equal(runs[0].fd, -1);
  assert_int_equal(vhd_close(image, &err), 0);

  opt.flags = VHD_OPEN_READONLY;
  assert_int_equal(vhd_open(CALLED, &opt, &image, &err), -EINVAL);
  opt.flags = VHD_OPEN_RAW;
  assert_int_equal(vhd_open(CALLED, &opt, &image, &err), -EINVAL);
  assert_int_equal(err.code, VHD_ARGUMENT);
}

/* What it says is no data is not read. */
static void
test_source(void **state)
{
  struct vhd_compare_options opt = { .open[0] = as_source };
  struct vhd_compare_result result;
  struct vhd_error err;

  (void)state;
  for (int known = 0; known < 2; known++) {
    begin(SIZE, 0, known);
    fill(memory.bytes);
    assert_int_equal(to_image(&err), 0);
    if (known)
      assert_true(memory.read < 1U << 20);
    else
      assert_true(memory.read == SIZE);
    assert_int_equal(vhd_compare(CALLED, IMAGE, &opt, &result, &err), 0);
    assert_int_equal(result.differ, VHD_DIFFER_NOT);
    memory.bytes[SIZE - 1]++;
    assert_int_equal(vhd_compare(CALLED, IMAGE, &opt, &result, &err), 0);
    assert_int_equal(result.differ, VHD_DIFFER_CONTENT);
    assert_int_equal(result.offset, SIZE - 1);
  }
  assert_int_equal(memory.written + memory.zeroed, 0);
}

static void
make_image(void)
{
  struct vhd_error err;

  begin(SIZE, 0, true);
  fill(memory.bytes);
  assert_int_equal(to_image(&err), 0);
}

static void
check_target(void)
{
  static uint8_t want[FULL];

  fill(want);
  assert_memory_equal(memory.bytes, want, memory.disk.size);
  assert_int_equal(memory.flushes, 1);
}

static void
test_empty_target(void **state)
{
  struct vhd_error err;

  (void)state;
  make_image();
  begin(FULL, 0, true);
  assert_int_equal(from_image(0, &err), 0);
  check_target();
  assert_int_equal(memory.zeroed, 0);
  assert_true(memory.written < 1U << 20);
}

static void
test_full_target(void **state)
{
  struct vhd_error err;

  (void)state;
  make_image();
  for (int known = 0; known < 2; known++) {
    begin(FULL, known ? 'x' : 0, known);
    assert_int_equal(from_image(0, &err), -EEXIST);
    assert_int_equal(memory.written + memory.zeroed, 0);
    assert_int_equal(from_image(VHD_CONVERT_OVERWRITE, &err), 0);
    check_target();
    assert_int_equal(memory.written + memory.zeroed, FULL);
  }
}

static void
test_target_refused(void **state)
{
  struct vhd_convert_options opt = { .disk = &memory.disk };
  struct vhd_error err;

  (void)state;
  make_image();
  begin(SIZE - 512, 0, true);
  assert_int_equal(from_image(0, &err), -ENOSPC);
  assert_int_equal(err.code, VHD_ARGUMENT);
  begin(SIZE, 0, true);
  assert_int_equal(from_image(VHD_CONVERT_AZURE, &err), -EINVAL);
  opt.type = VHD_FIXED;
  assert_int_equal(vhd_convert(IMAGE, CALLED, &opt, &err), -EINVAL);
  memory.disk.flush = NULL;
  assert_int_equal(from_image(0, &err), -EROFS);
  assert_int_equal(err.code, VHD_READ_ONLY);
  assert_int_equal(memory.written + memory.zeroed, 0);
}

static void
test_target_fails(void **state)
{
  struct vhd_error err;

  (void)state;
  make_image();
  begin(SIZE, 'x', true);
  memory.error = -EDQUOT;
  assert_int_equal(from_image(VHD_CONVERT_OVERWRITE, &err), -EDQUOT);
  assert_non_null(strstr(err.message, CALLED));
  assert_int_equal(memory.flushes, 0);
}

static int
leave(void **state)
{
  (void)state;
  unlink(IMAGE);
  return 0;
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_open),
    cmocka_unit_test(test_source),
    cmocka_unit_test(test_empty_target),
    cmocka_unit_test(test_full_target),
    cmocka_unit_test(test_target_refused),
    cmocka_unit_test(test_target_fails),
  };

  return cmocka_run_group_tests_name("disk", tests, NULL, leave);
}
