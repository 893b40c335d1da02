/* SPDX-License-Identifier: BSD-2-Clause */
/* test-content: what a new image holds from the beginning. */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "unit/unit.h"
#include "vhdkit.h"

#define PARENT "parent.vhd"
#define IMAGE "image.vhd"
#define BLOCK (64U << 10)
#define SIZE (40 * BLOCK)
#define S VHD_SECTOR_SIZE

static uint8_t ones[4 * BLOCK], twos[4 * BLOCK];

static int
create(const char *path, enum vhd_type type, uint32_t flags,
       const struct vhd_content *content, size_t n, struct vhd_error *err)
{
  const struct vhd_create_options opt = {
    .type = type,
    .size = SIZE,
    .block_size = type == VHD_FIXED ? 0 : BLOCK,
    .parent = type == VHD_DIFFERENCING ? PARENT : NULL,
    .flags = flags | VHD_CREATE_OVERWRITE,
    .content = content,
    .ncontent = n,
  };

  return vhd_create(path, &opt, err);
}

static void
check_disk(const char *path, const uint8_t *want)
{
  const struct vhd_open_options opt = { .flags = VHD_OPEN_READONLY };
  static uint8_t got[SIZE];
  struct vhd_image *image;
  struct vhd_error err;

  if (vhd_open(path, &opt, &image, &err) < 0)
    fail_msg("%s", err.message);
  assert_int_equal(vhd_pread(image, got, SIZE, 0), 0);
  assert_memory_equal(got, want, SIZE);
  vhd_close(image, NULL);
}

#define PART(o, l, b) { .off = (o), .len = (l), .buf = (b) }

/* Parts that share a block, and that reach over several. */
static void
test_parts(void **state)
{
  const struct vhd_content part[] = {
    PART(0, S, ones),
    PART(2 * S, 3 * S, twos),
    PART(5 * BLOCK - S, 2 * BLOCK + 2 * S, ones),
    PART(SIZE - S, S, twos),
  };
  static const enum vhd_type types[] = {
    VHD_FIXED, VHD_DYNAMIC, VHD_DIFFERENCING,
  };
  static uint8_t want[SIZE];
  struct vhd_error err;

  (void)state;
  for (unsigned i = 0; i < 2 * ARRAY_SIZE(types); i++) {
    const enum vhd_type type = types[i / 2];
    const uint32_t flags = i % 2 ? VHD_CREATE_FULL : 0;
    const struct vhd_content all = PART(BLOCK / 2, sizeof twos, twos);
    memset(want, 0, sizeof want);
    unlink(IMAGE);
    if (type == VHD_DIFFERENCING) {
      assert_int_equal(create(PARENT, VHD_DYNAMIC, 0, &all, 1, &err), 0);
      memcpy(want + all.off, twos, all.len);
      check_disk(PARENT, want);
    }
    if (create(IMAGE, type, flags, part, ARRAY_SIZE(part), &err) < 0)
      fail_msg("%s", err.message);
    for (unsigned k = 0; k < ARRAY_SIZE(part); k++)
      memcpy(want + part[k].off, part[k].buf, part[k].len);
    check_disk(IMAGE, want);
  }
}

static void
test_refused(void **state)
{
  const struct vhd_content bad[][2] = {
    { PART(0, S - 1, ones), PART(S, S, ones) },
    { PART(1, S, ones), PART(2 * S, S, ones) },
    { PART(S, S, ones), PART(0, S, ones) },
    { PART(0, 2 * S, ones), PART(S, S, ones) },
    { PART(0, S, ones), PART(SIZE, S, ones) },
    { PART(0, S, ones), PART(SIZE - S, 2 * S, ones) },
    { PART(0, S, ones), PART(UINT64_MAX - S + 1, S, ones) },
  };
  struct vhd_error err;

  (void)state;
  unlink(IMAGE);
  for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
    if (create(IMAGE, VHD_DYNAMIC, 0, bad[i], 2, &err) != -EINVAL)
      fail_msg("row %u was taken", i);
    assert_int_equal(err.code, VHD_ARGUMENT);
    assert_int_equal(access(IMAGE, F_OK), -1);
  }
}

static int
enter(void **state)
{
  (void)state;
  memset(ones, 1, sizeof ones);
  memset(twos, 2, sizeof twos);
  return 0;
}

static int
leave(void **state)
{
  (void)state;
  unlink(IMAGE);
  unlink(PARENT);
  return 0;
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_parts),
    cmocka_unit_test(test_refused),
  };

  return cmocka_run_group_tests_name("content", tests, enter, leave);
}
