/* SPDX-License-Identifier: BSD-2-Clause */
/* test-flags: no function of the public interface takes a flag that it does not
 * know. */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "unit/unit.h"
#include "vhdkit.h"

#define PATH "disk.vhd"
#define OPEN_KNOWN 0x3fU
#define CREATE_KNOWN 0x7U

static void
make(uint32_t flags, int want)
{
  const struct vhd_create_options opt = {
    .size = 1 << 20,
    .flags = flags,
  };
  struct vhd_error err = { .code = VHD_OK };

  unlink(PATH);
  assert_int_equal(vhd_create(PATH, &opt, &err), want);
  if (want < 0) {
    assert_int_equal(err.code, VHD_ARGUMENT);
    assert_int_equal(access(PATH, F_OK), -1);
  }
}

static void
test_create(void **state)
{
  (void)state;
  for (unsigned i = 0; i < 32; i++)
    make(1U << i, CREATE_KNOWN >> i & 1 ? 0 : -EINVAL);
}

static void
nothing_found(void *opaque, const struct vhd_finding *finding)
{
  (void)opaque;
  (void)finding;
}

static void
test_open_check(void **state)
{
  struct vhd_check_result result;
  struct vhd_image *image;

  (void)state;
  make(0, 0);
  for (unsigned i = 0; i < 32; i++) {
    const struct vhd_open_options opt = {
      .flags = VHD_OPEN_READONLY | 1U << i,
    };
    const bool known = OPEN_KNOWN >> i & 1;
    struct vhd_error err = { .code = VHD_OK };
    const int r = vhd_open(PATH, &opt, &image, &err);
    assert_int_equal(r, known ? 0 : -EINVAL);
    assert_int_equal(err.code, known ? VHD_OK : VHD_ARGUMENT);
    if (r == 0)
      vhd_close(image, NULL);
    if (known)
      continue; /* what vhd_check() makes of each is its own tests' affair */
    const struct vhd_check_options check = { .open = opt };
    err.code = VHD_OK;
    assert_int_equal(vhd_check(PATH, &check, nothing_found, NULL, &result,
                               &err), -EINVAL);
    assert_int_equal(err.code, VHD_ARGUMENT);
  }
}

/* Nor does one take what a later version has a field for. */
static void
test_room(void **state)
{
  struct vhd_check_options check = { .open.flags = VHD_OPEN_READONLY };
  struct vhd_create_options create = { .size = 1 << 20 };
  uint64_t *const create_room[] = {
    &create.reserved[0], &create.reserved[ARRAY_SIZE(create.reserved) - 1],
    &create.progress.reserved[0],
  };
  uint64_t *const check_room[] = {
    &check.reserved[0], &check.reserved[ARRAY_SIZE(check.reserved) - 1],
    &check.open.reserved[0], &check.progress.reserved[0],
  };
  struct vhd_check_result result;
  struct vhd_image *image;
  struct vhd_error err;

  (void)state;
  unlink(PATH);
  for (unsigned i = 0; i < ARRAY_SIZE(create_room); i++) {
    *create_room[i] = 1;
    assert_int_equal(vhd_create(PATH, &create, &err), -EINVAL);
    assert_int_equal(err.code, VHD_ARGUMENT);
    assert_int_equal(access(PATH, F_OK), -1);
    *create_room[i] = 0;
  }
  assert_int_equal(vhd_create(PATH, &create, &err), 0);
  for (unsigned i = 0; i < ARRAY_SIZE(check_room); i++) {
    *check_room[i] = 1;
    assert_int_equal(vhd_check(PATH, &check, nothing_found, NULL, &result,
                               &err), -EINVAL);
    assert_int_equal(err.code, VHD_ARGUMENT);
    *check_room[i] = 0;
  }
  check.open.reserved[7] = 1;
  assert_int_equal(vhd_open(PATH, &check.open, &image, &err), -EINVAL);
  assert_int_equal(err.code, VHD_ARGUMENT);
}

static void
test_requests(void **state)
{
  static const uint32_t known[] = {
    [VHD_READ] = 0,
    [VHD_WRITE] = VHD_FUA,
    [VHD_ZERO] = VHD_FUA | VHD_NO_HOLE | VHD_FAST_ZERO,
    [VHD_TRIM] = VHD_FUA,
    [VHD_FLUSH] = 0,
    [VHD_MAP] = VHD_PIN | VHD_ONE_RUN,
  };
  struct vhd_image *image;
  struct vhd_request req;
  char buf[512] = "";

  (void)state;
  make(0, 0);
  assert_int_equal(vhd_open(PATH, NULL, &image, NULL), 0);
  for (unsigned op = VHD_READ; op <= VHD_MAP; op++)
    for (unsigned i = 0; i < 32; i++)
      if (!(known[op] >> i & 1))
        assert_int_equal(vhd_request_start(&req, image, (enum vhd_op)op, 0,
                                           sizeof buf, buf, 1U << i),
                         -EINVAL);
  for (unsigned i = 0; i < 32; i++) {
    if (!(known[VHD_WRITE] >> i & 1))
      assert_int_equal(vhd_pwrite(image, buf, sizeof buf, 0, 1U << i),
                       -EINVAL);
    if (!(known[VHD_ZERO] >> i & 1))
      assert_int_equal(vhd_zero(image, sizeof buf, 0, 1U << i), -EINVAL);
    if (!(known[VHD_TRIM] >> i & 1))
      assert_int_equal(vhd_trim(image, sizeof buf, 0, 1U << i), -EINVAL);
  }
  assert_int_equal(vhd_close(image, NULL), 0);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_create),
    cmocka_unit_test(test_open_check),
    cmocka_unit_test(test_room),
    cmocka_unit_test(test_requests),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
