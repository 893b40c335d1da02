/* SPDX-License-Identifier: BSD-2-Clause */
/* test-limit: a file that must not become longer, be it that the disk below is
 * full, or that there is a limit for files: what fits is used up, and what
 * blocks have left is used again.  Stepped by hand, with a model of the limit. */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/image.h"
#include "unit/crew.h"
#include "unit/unit.h"

#define MIB ((uint64_t)1 << 20)
#define DISK "disk.vhd"

/* What ends behind `limit` fails: each I/O; or all but the setting aside. */
struct limit {
  uint64_t end;
  int error;
  bool at_write;
};

static bool
is_beyond(const struct limit *limit, const struct vhd_io *io)
{
  if (limit->at_write && io->kind == VHD_IO_EXTEND)
    return false;
  return (io->kind == VHD_IO_WRITE || io->kind == VHD_IO_EXTEND) &&
         io->off + io->len > limit->end;
}

static int
run_limited(struct vhd_image *image, const struct limit *limit, enum vhd_op op,
            uint64_t off, uint64_t len, void *buf)
{
  struct hand h;

  hand_start(&h, image, op, off, len, buf, 0);
  while (h.state != HAND_DONE) {
    assert_int_equal(h.state, HAND_READY);
    hand_step(&h);
    if (h.state != HAND_WAITS)
      continue;
    for (unsigned i = 0; i < h.req.nio; i++) {
      struct vhd_io *io = &h.req.io[i];
      if (is_beyond(limit, io))
        io->result = limit->error;
      else if (!limit->at_write || io->kind != VHD_IO_EXTEND)
        vhd_io_perform(io);
      else
        io->result = 0;
    }
    h.state = HAND_READY;
  }
  return h.req.result;
}

static uint64_t
bytes_of_file(void)
{
  struct stat st;

  assert_int_equal(stat(DISK, &st), 0);
  return (uint64_t)st.st_size;
}

/* The file may grow by room for two blocks and a half; steps are longer.  Then
 * a block is trimmed, and another takes its place, though nobody flushes. */
static void
try_limit(int error, bool at_write)
{
  static uint8_t buf[4096] = { 0x55 };
  struct vhd_image *image = crew_open(DISK, NULL, 64 * MIB, MIB);
  struct limit limit = { bytes_of_file() + 2 * MIB + MIB / 2, error, at_write };
  uint64_t blk = 0;
  int r;

  while ((r = run_limited(image, &limit, VHD_WRITE, blk * MIB, sizeof buf,
                          buf)) == 0)
    blk++;
  assert_int_equal(r, error);
  if (blk != 2)
    fail_msg("%llu blocks fit, then: %s", (unsigned long long)blk,
             strerror(-error));
  assert_int_equal(run_limited(image, &limit, VHD_TRIM, 0, MIB, NULL), 0);
  assert_int_equal(run_limited(image, &limit, VHD_WRITE, 40 * MIB, sizeof buf,
                               buf), 0);
  assert_true(bytes_of_file() <= limit.end);
  assert_int_equal(vhd_close(image, NULL), 0);
  unlink(DISK);
}

static void
test_reserved(void **state)
{
  (void)state;
  try_limit(-ENOSPC, false);
  try_limit(-EDQUOT, false);
  try_limit(-EFBIG, false);
}

/* Where no space can be set aside, it is the footer that is too far out. */
static void
test_written(void **state)
{
  (void)state;
  try_limit(-ENOSPC, true);
  try_limit(-EDQUOT, true);
  try_limit(-EFBIG, true);
}

int
main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_reserved),
    cmocka_unit_test(test_written),
  };

  crew_bound_cpu(20);
  if (argc > 1)
    cmocka_set_test_filter(argv[1]);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
