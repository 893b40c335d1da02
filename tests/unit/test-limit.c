/* SPDX-License-Identifier: BSD-2-Clause */
/* test-limit: a file that must not become longer, as the disk below is full or
 * there is a limit for files: what fits is used up, and what blocks have left
 * is used again.  Stepped by hand, with a model of the limit. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
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

/* --------------------------------------------------------------- taken back */

/* The first growth: its footer's write fails though its bytes are in the file,
 * and the file does not let itself be cut again. */
struct mishap {
  int error;       /* what the write says */
  unsigned ncut;   /* so many cuts fail after it */
  uint64_t footer; /* where it wrote */
};

static void
perform_with_mishap(struct mishap *m, struct vhd_io *io)
{
  if (io->kind == VHD_IO_TRUNCATE && m->footer != 0 && m->ncut > 0) {
    m->ncut--;
    io->result = -EIO;
    return;
  }
  vhd_io_perform(io);
  if (m->footer == 0 && io->kind == VHD_IO_WRITE && io->len == FOOTER_SIZE) {
    m->footer = io->off;
    io->result = m->error;
  }
}

static int
write_with_mishap(struct vhd_image *image, struct mishap *m, uint64_t off)
{
  static uint8_t buf[512] = { 0x77 };
  struct hand h;

  hand_start(&h, image, VHD_WRITE, off, sizeof buf, buf, 0);
  while (h.state != HAND_DONE) {
    hand_step(&h);
    for (unsigned i = 0; h.state == HAND_WAITS && i < h.req.nio; i++)
      perform_with_mishap(m, &h.req.io[i]);
    if (h.state == HAND_WAITS)
      h.state = HAND_READY;
  }
  return h.req.result;
}

static void
check_footer_at_end(void)
{
  char cookie[9] = "";
  int fd = open(DISK, O_RDONLY | O_CLOEXEC);

  assert_true(fd >= 0);
  assert_int_equal(pread(fd, cookie, 8, (off_t)bytes_of_file() - 512), 8);
  close(fd);
  assert_string_equal(cookie, "conectix");
}

/* Behind what was written each block reads as zeros. */
static void
check_zeros(struct vhd_image *image, uint64_t blk)
{
  static uint8_t buf[MIB];

  assert_int_equal(vhd_pread(image, buf, sizeof buf, blk * MIB), 0);
  assert_int_equal(buf[0], 0x77);
  for (size_t i = 512; i < sizeof buf; i++)
    if (buf[i] != 0)
      fail_msg("block %llu: byte %zu is no zero", (unsigned long long)blk, i);
}

/* What the footer's write left is no block's, and never the end of the file
 * once something is acknowledged. */
static void
test_not_taken_back(void **state)
{
  (void)state;
  static const struct {
    int error;
    unsigned ncut;
  } rows[] = { { -ENOSPC, 1 }, { -ENOSPC, 4 }, { -EIO, 1 }, { -EIO, 3 } };

  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    struct vhd_image *image = crew_open(DISK, NULL, 64 * MIB, MIB);
    struct mishap m = { .error = rows[i].error, .ncut = rows[i].ncut };
    unsigned nfail = 0;
    for (uint64_t blk = 0; blk < 40; blk++) {
      while (write_with_mishap(image, &m, blk * MIB) < 0)
        nfail++;
      check_footer_at_end();
      check_zeros(image, blk);
    }
    assert_true(m.footer != 0 && m.ncut == 0);
    assert_int_equal(nfail, rows[i].ncut);
    assert_int_equal(vhd_close(image, NULL), 0);
    check_footer_at_end();
    unlink(DISK);
  }
}

/* Nobody writes any more: the close cuts it. */
static void
test_cut_at_close(void **state)
{
  (void)state;
  struct vhd_image *image = crew_open(DISK, NULL, 64 * MIB, MIB);
  struct mishap m = { .error = -EIO, .ncut = 1 };
  uint64_t size = bytes_of_file();

  assert_int_equal(write_with_mishap(image, &m, 0), -EIO);
  assert_int_equal(m.ncut, 0);
  assert_true(bytes_of_file() > size + MIB);
  assert_int_equal(vhd_close(image, NULL), 0);
  assert_true(bytes_of_file() <= size + 4096);
  check_footer_at_end();
  unlink(DISK);
}

/* ------------------------------------------------------------------ others */

#define OTHERS 40

/* The writer asks for the file to be longer, which it must not be. */
static void
ask_to_grow(struct hand *writer)
{
  hand_step(writer);
  if (writer->state == HAND_DONE)
    fail_msg("the writer gave up: %s", strerror(-writer->req.result));
  assert_int_equal(writer->state, HAND_WAITS);
  assert_int_equal(writer->req.io[0].kind, VHD_IO_EXTEND);
}

/* It is told so, also of less, until it waits for a commit. */
static void
wait_for_commit(struct hand *writer)
{
  while (writer->state == HAND_WAITS) {
    assert_int_equal(writer->req.io[0].kind, VHD_IO_EXTEND);
    writer->req.io[0].result = -ENOSPC;
    writer->state = HAND_READY;
    hand_step(writer);
  }
  assert_int_equal(writer->state, HAND_PARKED);
}

/* Each slot that a block leaves is taken by somebody else, who comes first; at
 * last nobody does.  There was space all the time. */
static void
test_others_first(void **state)
{
  (void)state;
  static uint8_t buf[4096] = { 0x66 };
  struct vhd_image *image = crew_open(DISK, NULL, 256 * MIB, MIB);
  struct hand writer, flush;
  uint64_t blk = 0, gone = 0;

  do
    assert_int_equal(vhd_pwrite(image, buf, sizeof buf, blk++ * MIB, 0), 0);
  while (image->space.next + image->space.slot_sec <= image->space.end);
  const struct limit limit = { bytes_of_file(), -ENOSPC, false };
  hand_start(&writer, image, VHD_WRITE, 200 * MIB, sizeof buf, buf, 0);
  ask_to_grow(&writer);
  for (unsigned i = 0; i <= OTHERS; i++) {
    assert_int_equal(vhd_trim(image, MIB, gone++ * MIB, 0), 0);
    hand_start(&flush, image, VHD_FLUSH, 0, 0, NULL, 0);
    hand_step(&flush);
    hand_step(&flush);
    assert_int_equal(flush.state, HAND_WAITS);
    wait_for_commit(&writer);
    hand_perform(&flush);
    hand_go(&flush);
    assert_int_equal(writer.state, HAND_READY);
    if (i == OTHERS)
      break;
    assert_int_equal(run_limited(image, &limit, VHD_WRITE, blk++ * MIB,
                                 sizeof buf, buf), 0);
    ask_to_grow(&writer);
  }
  hand_go(&writer);
  assert_int_equal(writer.state, HAND_DONE);
  assert_int_equal(writer.req.result, 0);
  assert_int_equal(vhd_close(image, NULL), 0);
  unlink(DISK);
}

int
main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_reserved),
    cmocka_unit_test(test_written),
    cmocka_unit_test(test_not_taken_back),
    cmocka_unit_test(test_cut_at_close),
    cmocka_unit_test(test_others_first),
  };

  crew_bound_cpu(20);
  if (argc > 1)
    cmocka_set_test_filter(argv[1]);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
