/* SPDX-License-Identifier: BSD-2-Clause */
/* test-wakes: whoever lets something come wakes those who wait for it, in the
 * cases that no other request would make up for: stepped by hand, with nothing
 * else going on. */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "image/image.h"
#include "unit/crew.h"
#include "unit/unit.h"

#define MIB ((uint64_t)1 << 20)
#define DISK "disk.vhd"
#define BASE "base.vhd"

/* ----------------------------------------------------------------- bitmaps */

/* So large that a bitmap takes 64 KiB, and the cache holds CACHED of them, a
 * quarter of which may be dirty. */
#define BIG ((uint64_t)256 * MIB)
#define CACHED 64
#define DIRTY (CACHED / 4)
#define LOADED (CACHED - 2 * DIRTY)
#define NBLOCKS (CACHED + 8)

/* One sector of each of n blocks; of a child, so that each has a mixture. */
static void
write_sectors(struct vhd_image *image, uint64_t first, uint64_t n, uint64_t at)
{
  static uint8_t buf[512] = { 0x77 };

  for (uint64_t blk = first; blk < first + n; blk++)
    assert_int_equal(vhd_pwrite(image, buf, sizeof buf, blk * BIG + at, 0), 0);
}

/* A child with a sector in each block, opened anew: no bitmap is read yet. */
static struct vhd_image *
open_mixed(void)
{
  struct vhd_image *image;
  struct vhd_error err;

  vhd_close(crew_open(BASE, NULL, NBLOCKS * BIG, BIG), NULL);
  image = crew_open(DISK, BASE, NBLOCKS * BIG, BIG);
  write_sectors(image, 0, NBLOCKS, 0);
  assert_int_equal(vhd_close(image, &err), 0);
  assert_int_equal(vhd_open(DISK, NULL, &image, &err), 0);
  assert_int_equal(image->top->bitmaps.n, CACHED);
  return image;
}

/* The whole block becomes the child's own, but for the zeroing itself. */
static void
fill_block(struct vhd_image *image, uint64_t blk)
{
  struct hand h;

  hand_start(&h, image, VHD_ZERO, blk * BIG, BIG, NULL, VHD_NO_HOLE);
  hand_step(&h);
  assert_int_equal(h.state, HAND_WAITS);
  assert_int_equal(h.req.io[0].kind, VHD_IO_WRITE); /* it dates the file */
  hand_perform(&h);
  hand_step(&h);
  assert_int_equal(h.state, HAND_WAITS);
  assert_int_equal(h.req.nio, 1);
  assert_int_equal(h.req.io[0].kind, VHD_IO_ZERO);
  h.req.io[0].result = 0;
  h.state = HAND_READY;
  hand_step(&h);
  assert_int_equal(h.state, HAND_DONE);
  assert_int_equal(h.req.result, 0);
}

/* Steps a flush until it writes metadata. */
static void
freeze(struct hand *flush, struct vhd_image *image)
{
  hand_start(flush, image, VHD_FLUSH, 0, 0, NULL, 0);
  for (;;) {
    while (flush->state == HAND_READY)
      hand_step(flush);
    assert_int_equal(flush->state, HAND_WAITS);
    if (flush->req.io[0].kind == VHD_IO_WRITE)
      return;
    hand_perform(flush);
  }
}

/* Ends it, all further I/O with this result. */
static void
end_flush(struct hand *flush, int result)
{
  while (flush->state != HAND_DONE) {
    for (unsigned i = 0; flush->state == HAND_WAITS && i < flush->req.nio; i++)
      if (result < 0)
        flush->req.io[i].result = result;
      else
        vhd_io_perform(&flush->req.io[i]);
    flush->state = HAND_READY;
    hand_step(flush);
  }
  assert_int_equal(flush->req.result, result);
}

/* All entries of the bitmap cache are frozen, dirty or being read; who then
 * wants another waits, and goes on once the commit has ended, well or not: a
 * bitmap that nobody needs any more is frozen no longer. */
static void
after_commit(int result)
{
  static uint8_t buf[LOADED + 1][512];
  struct vhd_image *image = open_mixed();
  struct hand flush, reader[LOADED + 1];

  write_sectors(image, 0, DIRTY, 512);
  freeze(&flush, image);
  fill_block(image, 0);
  write_sectors(image, DIRTY, DIRTY, 512);
  for (unsigned i = 0; i <= LOADED; i++) {
    hand_start(&reader[i], image, VHD_READ, (2 * DIRTY + i) * BIG, 512, buf[i],
               0);
    hand_step(&reader[i]);
    assert_int_equal(reader[i].state, i < LOADED ? HAND_WAITS : HAND_PARKED);
  }
  end_flush(&flush, result);
  assert_int_equal(reader[LOADED].state, HAND_READY);
  hand_step(&reader[LOADED]);
  assert_int_equal(reader[LOADED].state, HAND_WAITS);
  crew_work(reader, LOADED + 1);
  for (unsigned i = 0; i <= LOADED; i++) {
    assert_int_equal(reader[i].req.result, 0);
    assert_int_equal(buf[i][0], 0x77);
  }
  assert_int_equal(vhd_close(image, NULL), 0);
  unlink(DISK);
  unlink(BASE);
}

static void
test_after_good_commit(void **state)
{
  (void)state;
  after_commit(0);
}

static void
test_after_failed_commit(void **state)
{
  (void)state;
  after_commit(-EIO);
}

/* ------------------------------------------------------------------ epochs */

/* Goes on with the writer; the file cannot grow (a block's own space, which is
 * asked for along with the data, can be had). */
static void
go_full(struct hand *writer)
{
  while (writer->state == HAND_READY || writer->state == HAND_WAITS) {
    hand_step(writer);
    if (writer->state != HAND_WAITS)
      continue;
    if (writer->req.nio == 1 && writer->req.io[0].kind == VHD_IO_EXTEND) {
      writer->req.io[0].result = -ENOSPC;
      writer->state = HAND_READY;
    } else {
      hand_perform(writer);
    }
  }
}

/* A writer that waits for the epoch to be left in which the caller is: until
 * then no slot is free, and the disk below has no space. */
static struct vhd_image *
wait_for_epoch(struct hand *writer, uint32_t *epoch)
{
  static uint8_t buf[4096] = { 0x44 };
  struct vhd_image *image = crew_open(DISK, NULL, 64 * MIB, MIB);
  uint64_t blk = 8;

  for (uint64_t i = 0; i < blk; i++)
    assert_int_equal(vhd_pwrite(image, buf, sizeof buf, i * MIB, 0), 0);
  *epoch = image_pin(image);
  assert_int_equal(vhd_trim(image, 4 * MIB, 0, VHD_FUA), 0);
  while (vhd_has_background(image)) {
    struct hand h;
    hand_start(&h, image, VHD_RECLAIM, 0, 0, NULL, 0);
    hand_go(&h);
  }
  do {
    assert_true(blk < 64);
    hand_start(writer, image, VHD_WRITE, blk++ * MIB, sizeof buf, buf, 0);
    go_full(writer);
  } while (writer->state == HAND_DONE && writer->req.result == 0);
  assert_int_equal(writer->state, HAND_PARKED);
  return image;
}

static void
end_epochs(struct vhd_image *image, struct hand *writer)
{
  assert_int_equal(writer->state, HAND_READY);
  go_full(writer);
  assert_int_equal(writer->state, HAND_DONE);
  assert_int_equal(writer->req.result, 0);
  assert_int_equal(vhd_close(image, NULL), 0);
  unlink(DISK);
}

/* Who is in an epoch need not be a request: vhd_parent() and vhd_get_info()
 * look at the layers, too. */
static void
test_epoch_left(void **state)
{
  (void)state;
  struct hand writer;
  uint32_t epoch;
  struct vhd_image *image = wait_for_epoch(&writer, &epoch);

  image_unpin(image, epoch);
  end_epochs(image, &writer);
}

/* Who finds the epoch over that it has just pinned leaves it without a sound:
 * whoever leaves any epoch next makes up for that, also if it is not the last
 * to leave it. */
static void
test_epoch_left_in_silence(void **state)
{
  (void)state;
  struct hand writer, reader;
  static uint8_t buf[512];
  uint32_t epoch;
  struct vhd_image *image = wait_for_epoch(&writer, &epoch);

  uint32_t other = image_pin(image);
  assert_int_not_equal(other & 1, epoch & 1);
  hand_start(&reader, image, VHD_READ, 5 * MIB, sizeof buf, buf, 0);
  hand_step(&reader);
  assert_int_equal(reader.state, HAND_WAITS);
  atomic_fetch_sub(&image->inflight[epoch & 1], 1);
  hand_perform(&reader);
  hand_step(&reader);
  assert_int_equal(reader.state, HAND_DONE);
  assert_int_equal(writer.state, HAND_READY);
  image_unpin(image, other);
  end_epochs(image, &writer);
}

int
main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_after_good_commit),
    cmocka_unit_test(test_after_failed_commit),
    cmocka_unit_test(test_epoch_left),
    cmocka_unit_test(test_epoch_left_in_silence),
  };

  crew_bound_cpu(20);
  if (argc > 1)
    cmocka_set_test_filter(argv[1]);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
