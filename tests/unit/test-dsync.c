/* SPDX-License-Identifier: BSD-2-Clause */
/* test-dsync: writes with FUA over pwritev2() and fdatasync() of our own: which
 * of them make a commit, and what one that fails means for others. */
#include "config.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "unit/unit.h"
#include "vhdkit.h"

#define MIB ((uint64_t)1 << 20)
#define DISK "disk.vhd"
#define SIZE 4096

static struct {
  unsigned durable, syncs;
  bool bad_sync, bad_write;
} calls;

static int
end_sync(void)
{
  errno = EIO;
  return calls.bad_sync ? -1 : 0;
}

int
fdatasync(int fd)
{
  (void)fd;
  calls.syncs++;
  return end_sync();
}

ssize_t
pwritev2(int fd, const struct iovec *iov, int niov, off_t off, int flags)
{
  errno = EIO;
  if (calls.bad_write)
    return -1;
  const ssize_t n = pwritev(fd, iov, niov, off);
  if (!(flags & RWF_DSYNC))
    return n;
  calls.durable++;
  return end_sync() < 0 ? -1 : n;
}

ssize_t
pwritev64v2(int fd, const struct iovec *iov, int niov, off_t off, int flags)
{
  return pwritev2(fd, iov, niov, off, flags);
}

static uint8_t data[SIZE];
static struct vhd_image *image;

static void
forget_calls(void)
{
  memset(&calls, 0, sizeof calls);
}

static int
begin(void **state)
{
  const bool *fixed = *state;
  const struct vhd_create_options opt = {
    .size = 8 * MIB,
    .type = fixed ? VHD_FIXED : VHD_DYNAMIC,
  };

  forget_calls();
  assert_int_equal(vhd_create(DISK, &opt, NULL), 0);
  assert_int_equal(vhd_open(DISK, NULL, &image, NULL), 0);
  return 0;
}

static int
end(void **state)
{
  (void)state;
  vhd_close(image, NULL);
  return unlink(DISK);
}

static int
write_durably(uint64_t off)
{
  forget_calls();
  return vhd_pwrite(image, data, SIZE, off, VHD_FUA);
}

static void
assert_alone(void)
{
  assert_int_equal(calls.durable, 1);
  assert_int_equal(calls.syncs, 0);
}

/* A new block takes a commit; bytes of one that the disk knows do not. */
static void
test_commit(void **state)
{
  (void)state;
  assert_int_equal(write_durably(0), 0);
  assert_in_range(calls.syncs, 2, 4);
  assert_int_equal(write_durably(SIZE), 0);
  assert_alone();
  assert_int_equal(vhd_pwrite(image, data, SIZE, 4 * MIB, 0), 0);
  assert_int_equal(write_durably(4 * MIB), 0); /* its block is not yet known */
  assert_in_range(calls.syncs, 2, 4);
  assert_int_equal(calls.durable, 0);
}

static void
test_fixed(void **state)
{
  (void)state;
  assert_int_equal(write_durably(SIZE), 0);
  assert_alone();
}

/* What else was written may be lost with it. */
static void
test_failed_sync(void **state)
{
  (void)state;
  assert_int_equal(write_durably(0), 0);
  assert_int_equal(vhd_pwrite(image, data, SIZE, 0, 0), 0);
  calls.bad_sync = true;
  assert_int_equal(vhd_pwrite(image, data, SIZE, SIZE, VHD_FUA), -EIO);
  forget_calls();
  assert_int_equal(vhd_flush(image), -EIO);
  assert_int_equal(write_durably(0), -EIO);
}

/* Nothing else is touched by that. */
static void
test_failed_write(void **state)
{
  (void)state;
  assert_int_equal(write_durably(0), 0);
  calls.bad_write = true;
  assert_int_equal(vhd_pwrite(image, data, SIZE, SIZE, VHD_FUA), -EIO);
  forget_calls();
  assert_int_equal(vhd_flush(image), 0);
  assert_int_equal(write_durably(0), 0);
}

int
main(void)
{
  static bool fixed = true;
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_commit, begin, end),
    cmocka_unit_test_prestate_setup_teardown(test_fixed, begin, end, &fixed),
    cmocka_unit_test_setup_teardown(test_failed_sync, begin, end),
    cmocka_unit_test_prestate_setup_teardown(test_failed_sync, begin, end,
                                             &fixed),
    cmocka_unit_test_setup_teardown(test_failed_write, begin, end),
    cmocka_unit_test_prestate_setup_teardown(test_failed_write, begin, end,
                                             &fixed),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
