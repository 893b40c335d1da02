/* SPDX-License-Identifier: BSD-2-Clause */
/* test-syncs: what is acknowledged while another request's sync is under way,
 * stepped by hand over real files. */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "image/image.h"
#include "unit/crew.h"
#include "unit/unit.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define DISK "disk.vhd"

static uint8_t data[64 << 10];

/* Does the step ask for this kind of I/O, with these flags? */
static bool
asks_for(const struct vhd_request *req, enum vhd_io_kind kind, unsigned flags)
{
  for (unsigned i = 0; i < req->nio; i++)
    if (req->io[i].kind == kind && (req->io[i].flags & flags) == flags)
      return true;
  return false;
}

static void
carry_out(struct vhd_request *req)
{
  for (unsigned i = 0; i < req->nio; i++)
    vhd_io_perform(&req->io[i]);
}

static void
nobody(struct vhd_request *req)
{
  (void)req;
}

static void
begin(struct vhd_request *req, struct vhd_image *image, enum vhd_op op,
      uint64_t off, uint64_t len)
{
  assert_int_equal(vhd_request_start(req, image, op, off, len,
                                     op == VHD_WRITE ? data : NULL, 0), 0);
  req->wake = nobody;
}

/* Goes on until it asks for that; false: it was done before. */
static bool
work_until(struct vhd_request *req, enum vhd_io_kind kind, unsigned flags)
{
  enum vhd_step step;

  while ((step = vhd_request_step(req)) != VHD_STEP_DONE) {
    if (step == VHD_STEP_PARKED)
      continue; /* a leader steps back once */
    if (asks_for(req, kind, flags))
      return true;
    carry_out(req);
  }
  return false;
}

static void
finish(struct vhd_request *req)
{
  carry_out(req);
  while (vhd_request_step(req) != VHD_STEP_DONE)
    carry_out(req);
}

/* Without a journal a write in place rests upon its block's allocation, which
 * another request is committing: it is not acknowledged before. */
static void
test_write_through(void **state)
{
  (void)state;
  struct vhd_image *image = crew_open(DISK, NULL, 64 * MIB, 0);
  struct vhd_request one, two;

  image->write_through = true;
  begin(&one, image, VHD_WRITE, 0, sizeof data);
  assert_true(work_until(&one, VHD_IO_SYNC, 0));
  begin(&two, image, VHD_WRITE, sizeof data, sizeof data);
  enum vhd_step step;
  while ((step = vhd_request_step(&two)) == VHD_STEP_IO)
    carry_out(&two);
  assert_int_equal(step, VHD_STEP_PARKED);
  finish(&one);
  assert_int_equal(one.result, 0);
  while ((step = vhd_request_step(&two)) != VHD_STEP_DONE)
    if (step == VHD_STEP_IO)
      carry_out(&two);
  assert_int_equal(two.result, 0);
  vhd_close(image, NULL);
  unlink(DISK);
}

/* The kernel tells of a failed write-back once, here to the request that makes
 * a longer file's footer durable; the flush whose sync ran meanwhile, and all
 * that come later, fail too. */
static void
test_told_elsewhere(void **state)
{
  (void)state;
  struct vhd_image *image = crew_open(DISK, NULL, 1024 * MIB, 0);
  struct vhd_request growing, flush;
  uint64_t off = 0;

  do {
    begin(&growing, image, VHD_WRITE, off, 4 * KIB);
    off += 2 * MIB;
  } while (!work_until(&growing, VHD_IO_WRITE, VHD_IO_DURABLE));
  begin(&flush, image, VHD_FLUSH, 0, 0);
  assert_true(work_until(&flush, VHD_IO_SYNC, 0));
  /* Both are under way. */
  flush.io[0].result = 0;
  enum vhd_step step = vhd_request_step(&flush);
  while (step == VHD_STEP_IO) { /* to its second sync, and the end of that */
    carry_out(&flush);
    step = vhd_request_step(&flush);
  }
  assert_int_equal(step, VHD_STEP_PARKED);
  growing.io[0].result = -EIO;
  while (vhd_request_step(&growing) != VHD_STEP_DONE)
    carry_out(&growing);
  assert_int_equal(growing.result, -EIO);
  while (vhd_request_step(&flush) != VHD_STEP_DONE)
    ;
  assert_int_equal(flush.result, -EIO);
  assert_int_equal(vhd_flush(image), -EIO);
  assert_int_equal(vhd_close(image, NULL), -EIO);
  unlink(DISK);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_write_through),
    cmocka_unit_test(test_told_elsewhere),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
