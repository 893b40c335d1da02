/* SPDX-License-Identifier: BSD-2-Clause */
/* test-machine: the request machine under many requests at once, stepped by
 * hand over real files. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "image/image.h"
#include "unit/crew.h"
#include "unit/unit.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define DISK "disk.vhd"
#define BASE "base.vhd"

static void
close_disk(struct vhd_image *image)
{
  struct vhd_error err;

  if (vhd_close(image, &err) < 0)
    fail_msg("%s", err.message);
  unlink(DISK);
}

/* ------------------------------------------------------------------ room */

/* n writes at once, each of `len` bytes into blocks of its own, all of which
 * have begun before the first I/O is carried out. */
static void
write_at_once(struct vhd_image *image, unsigned n, uint64_t apart,
              uint64_t len)
{
  struct hand *crew = calloc(n, sizeof *crew);
  uint8_t *buf = malloc(len);
  uint8_t back[512];

  assert_non_null(crew);
  assert_non_null(buf);
  memset(buf, 0x5a, len);
  for (unsigned i = 0; i < n; i++)
    hand_start(&crew[i], image, VHD_WRITE, i * apart, len, buf, 0);
  crew_work(crew, n);
  for (unsigned i = 0; i < n; i++) {
    assert_int_equal(crew[i].req.result, 0);
    assert_int_equal(vhd_pread(image, back, sizeof back, i * apart), 0);
    assert_memory_equal(back, buf, sizeof back);
  }
  free(buf);
  free(crew);
}

/* All the room there is gets reserved by requests in flight, so that nothing
 * is dirty yet when the next one asks. */
static void
test_room_reserved(void **state)
{
  (void)state;
  static const struct {
    const char *parent;
    uint64_t size;
    uint32_t block_size;
    unsigned n;
    uint64_t apart, len;
  } rows[] = {
    /* A bitmap is 64 KiB, so that only a few fit into the cache. */
    { NULL, 100ULL << 28, 256 << 20, 40, 256 * MIB, 512 },
    { BASE, 100ULL << 28, 256 << 20, 40, 256 * MIB, 512 },
    /* Each takes part of four blocks in one step. */
    { BASE, 1ULL << 35, 2 << 20, 600, 8 * MIB, 4 * MIB + 1024 },
  };

  for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
    uint64_t len = rows[i].len;
    if (rows[i].parent)
      vhd_close(crew_open(BASE, NULL, rows[i].size, rows[i].block_size), NULL);
    struct vhd_image *image = crew_open(DISK, rows[i].parent, rows[i].size,
                                        rows[i].block_size);
    if (len > MIB) { /* zeros that are kept, so that no data need be written */
      struct hand *crew = calloc(rows[i].n, sizeof *crew);
      assert_non_null(crew);
      for (unsigned k = 0; k < rows[i].n; k++)
        hand_start(&crew[k], image, VHD_ZERO,
                   k * rows[i].apart + 2 * MIB - 512, len, NULL, VHD_NO_HOLE);
      crew_work(crew, rows[i].n);
      for (unsigned k = 0; k < rows[i].n; k++)
        assert_int_equal(crew[k].req.result, 0);
      free(crew);
    } else {
      write_at_once(image, rows[i].n, rows[i].apart, len);
    }
    close_disk(image);
    unlink(BASE);
  }
}

/* What was taken is given back: by those who are done, by a commit, and as
 * space is. */
static void
test_room_given_back(void **state)
{
  (void)state;
  struct vhd_image *image;
  static uint8_t buf[4096];

  vhd_close(crew_open(BASE, NULL, 64 * MIB, MIB), NULL);
  image = crew_open(DISK, BASE, 64 * MIB, MIB);
  struct budget *of = image->commit.budgets.of;
  for (uint64_t i = 0; i < 20; i++)
    assert_int_equal(vhd_pwrite(image, buf, 512 + i, i * MIB, 0), 0);
  struct hand h;
  if (image->journal) { /* else each write has made its own commit */
    assert_int_equal(*of[BUDGET_DIRTY].used, 20);
    assert_int_equal(*of[BUDGET_BITMAPS].used, 20);
    assert_int_equal(*of[BUDGET_RECORDS].used, 40);
  }
  hand_start(&h, image, VHD_TRIM, 0, 10 * MIB, NULL, 0);
  hand_go(&h);
  assert_int_equal(h.state, HAND_DONE);
  if (image->journal) {
    assert_int_equal(*of[BUDGET_DIRTY].used, 20);
    assert_int_equal(*of[BUDGET_BITMAPS].used, 10);
    assert_int_equal(*of[BUDGET_SLOTS].used, 10);
  }
  assert_int_equal(vhd_flush(image), 0);
  while (vhd_has_background(image)) {
    hand_start(&h, image, VHD_RECLAIM, 0, 0, NULL, 0);
    hand_go(&h);
  }
  for (int kind = 0; kind < BUDGET_KINDS; kind++) {
    assert_int_equal(of[kind].reserved, 0);
    assert_int_equal(*of[kind].used, 0);
  }
  close_disk(image);
  unlink(BASE);
}

/* ---------------------------------------------------------- the file's end */

/* ext4, where space runs out: the end of the file moves, then it fails. */
static bool disk_full;

int
fallocate(int fd, int mode, off_t off, off_t len)
{
  struct stat st;

  if (disk_full && !(mode & FALLOC_FL_PUNCH_HOLE)) {
    if (!(mode & FALLOC_FL_KEEP_SIZE) && fstat(fd, &st) == 0 &&
        st.st_size < off + len && ftruncate(fd, off + len / 2) < 0)
      return -1;
    errno = ENOSPC;
    return -1;
  }
  return (int)syscall(SYS_fallocate, fd, mode, off, len);
}

static void
check_end(const char *what)
{
  struct stat st;
  char cookie[9] = "";
  int fd = open(DISK, O_RDONLY | O_CLOEXEC);

  assert_true(fd >= 0);
  assert_int_equal(fstat(fd, &st), 0);
  assert_int_equal(pread(fd, cookie, 8, st.st_size - 512), 8);
  close(fd);
  if (strcmp(cookie, "conectix") != 0)
    fail_msg("%s: the file does not end in a footer", what);
}

/* Writes one block; the end is looked at whenever the process might die. */
static int
write_watched(struct vhd_image *image, uint64_t off)
{
  static uint8_t buf[4096] = { 0x33 };
  struct hand h;

  hand_start(&h, image, VHD_WRITE, off, sizeof buf, buf, 0);
  while (h.state != HAND_DONE) {
    hand_step(&h);
    for (unsigned i = 0; h.state == HAND_WAITS && i < h.req.nio; i++) {
      vhd_io_perform(&h.req.io[i]);
      check_end(disk_full ? "on a full disk" : "while it grows");
    }
    if (h.state == HAND_WAITS)
      h.state = HAND_READY;
  }
  return h.req.result;
}

static void
test_end(void **state)
{
  (void)state;
  for (int child = 0; child < 2; child++) {
    if (child)
      vhd_close(crew_open(BASE, NULL, 64 * MIB, MIB), NULL);
    struct vhd_image *image = crew_open(DISK, child ? BASE : NULL, 64 * MIB,
                                        MIB);
    uint64_t off = 0;
    for (; off < 20 * MIB; off += MIB)
      assert_int_equal(write_watched(image, off), 0);
    disk_full = true;
    int r = 0;
    for (; off < 64 * MIB && r == 0; off += MIB)
      r = write_watched(image, off);
    disk_full = false;
    assert_int_equal(r, -ENOSPC);
    assert_int_equal(write_watched(image, off - MIB), 0);
    close_disk(image);
  }
  unlink(BASE);
}

/* -------------------------------------------------------------- reclaiming */

static void
write_blocks(struct vhd_image *image, uint64_t first, uint64_t n, int value)
{
  uint8_t buf[4096];

  memset(buf, value, sizeof buf);
  for (uint64_t blk = first; blk < first + n; blk++)
    assert_int_equal(vhd_pwrite(image, buf, sizeof buf, blk * MIB, 0), 0);
}

/* A flush punches nothing, and while somebody does, others commit. */
static void
test_reclaim(void **state)
{
  (void)state;
  struct vhd_image *image = crew_open(DISK, NULL, 64 * MIB, MIB);
  uint8_t buf[4096] = { 1 };
  struct hand h, other, third;

  write_blocks(image, 0, 40, 1);
  assert_int_equal(vhd_flush(image), 0);
  hand_start(&h, image, VHD_TRIM, 0, 40 * MIB, NULL, 0);
  hand_go(&h);
  assert_int_equal(h.state, HAND_DONE);
  hand_start(&h, image, VHD_FLUSH, 0, 0, NULL, 0);
  while (h.state != HAND_DONE) {
    hand_step(&h);
    for (unsigned i = 0; h.state == HAND_WAITS && i < h.req.nio; i++)
      assert_int_not_equal(h.req.io[i].kind, VHD_IO_PUNCH);
    hand_perform(&h);
  }
  assert_int_equal(h.req.result, 0);

  assert_true(vhd_has_background(image));
  hand_start(&other, image, VHD_RECLAIM, 0, 0, NULL, 0);
  hand_step(&other);
  assert_int_equal(other.state, HAND_WAITS);
  assert_int_equal(other.req.io[0].kind, VHD_IO_PUNCH);
  hand_start(&third, image, VHD_WRITE, 50 * MIB, sizeof buf, buf, VHD_FUA);
  hand_go(&third);
  assert_int_equal(third.state, HAND_DONE);
  assert_int_equal(third.req.result, 0);
  hand_perform(&other);
  hand_go(&other);
  while (vhd_has_background(image)) {
    hand_start(&other, image, VHD_RECLAIM, 0, 0, NULL, 0);
    hand_go(&other);
    assert_int_equal(other.state, HAND_DONE);
  }
  close_disk(image);
}

/* A full disk below gives nothing back: the place is as it was, and is punched
 * by the next who uses it, for whom zeros will do. */
static void
test_nothing_given_back(void **state)
{
  (void)state;
  struct vhd_image *image = crew_open(DISK, NULL, 64 * MIB, MIB);
  uint8_t buf[4096] = { 1 };
  struct hand h;

  write_blocks(image, 0, 1, 1);
  assert_int_equal(vhd_flush(image), 0);
  hand_start(&h, image, VHD_TRIM, 0, MIB, NULL, VHD_FUA);
  hand_go(&h);
  hand_start(&h, image, VHD_RECLAIM, 0, 0, NULL, 0);
  hand_step(&h);
  assert_int_equal(h.state, HAND_WAITS);
  assert_int_equal(h.req.io[0].kind, VHD_IO_PUNCH);
  assert_int_equal(h.req.io[0].flags, VHD_IO_GIVE_BACK);
  h.req.io[0].result = -ENOSPC;
  h.state = HAND_READY;
  hand_go(&h);
  assert_int_equal(h.state, HAND_DONE);
  assert_false(vhd_has_background(image));

  hand_start(&h, image, VHD_WRITE, 2 * MIB, sizeof buf, buf, 0);
  hand_step(&h);
  assert_int_equal(h.state, HAND_WAITS);
  assert_int_equal(h.req.io[0].kind, VHD_IO_PUNCH);
  assert_int_equal(h.req.io[0].flags, 0);
  hand_perform(&h);
  hand_go(&h);
  assert_int_equal(h.req.result, 0);
  close_disk(image);
}

/* A write that fails leaves bytes in a place that no block has: they are given
 * back, though the image is not closed. */
static void
test_failed_write(void **state)
{
  (void)state;
  struct vhd_image *image = crew_open(DISK, NULL, 64 * MIB, MIB);
  static uint8_t buf[MIB / 2] = { 1 };
  struct hand h;
  uint64_t written = 0;

  hand_start(&h, image, VHD_WRITE, 0, sizeof buf, buf, 0);
  while (h.state != HAND_DONE) {
    hand_step(&h);
    bool waits = h.state == HAND_WAITS;
    hand_perform(&h);
    if (waits && h.req.io[h.req.nio - 1].len == sizeof buf) {
      written = h.req.io[h.req.nio - 1].off;
      h.req.io[h.req.nio - 1].result = -EIO;
    }
  }
  assert_int_equal(h.req.result, -EIO);
  assert_int_not_equal(written, 0);

  assert_true(vhd_has_background(image));
  hand_start(&h, image, VHD_RECLAIM, 0, 0, NULL, 0);
  hand_step(&h);
  assert_int_equal(h.state, HAND_WAITS);
  assert_int_equal(h.req.nio, 1);
  assert_int_equal(h.req.io[0].kind, VHD_IO_PUNCH);
  assert_int_equal(h.req.io[0].flags, VHD_IO_GIVE_BACK);
  assert_true(h.req.io[0].off < written &&
              written + sizeof buf <= h.req.io[0].off + h.req.io[0].len);
  hand_perform(&h);
  hand_go(&h);
  assert_int_equal(h.state, HAND_DONE);
  assert_false(vhd_has_background(image));

  /* The place is used again, and what is written there is there. */
  assert_int_equal(vhd_pwrite(image, buf, sizeof buf, 5 * MIB, 0), 0);
  struct vhd_run run;
  unsigned n = 1;
  assert_int_equal(vhd_map(image, 512, 5 * MIB, &run, &n), 0);
  assert_int_equal(run.file_off, written);
  close_disk(image);
}

static uint64_t
disk_size(void)
{
  struct stat st;

  assert_int_equal(stat(DISK, &st), 0);
  return (uint64_t)st.st_size;
}

/* One client does not take its answer: what it looks at stays its block's, and
 * all else is used again. */
static void
test_pin(void **state)
{
  (void)state;
  struct vhd_image *image = crew_open(DISK, NULL, 512 * MIB, MIB);
  struct vhd_run run;
  struct hand h;
  uint8_t byte;

  write_blocks(image, 0, 1, 0xaa);
  hand_start(&h, image, VHD_MAP, 0, MIB, NULL, VHD_PIN);
  h.req.runs = &run;
  h.req.max_runs = 1;
  hand_go(&h);
  assert_int_equal(h.req.nruns, 1);
  uint64_t size = 0;
  for (uint64_t blk = 0; blk < 300; blk++) {
    assert_int_equal(vhd_trim(image, MIB, blk * MIB, VHD_FUA), 0);
    write_blocks(image, blk + 1, 1, 0xbb);
    assert_int_equal(pread(run.fd, &byte, 1, (off_t)run.file_off), 1);
    assert_true(byte == 0xaa || byte == 0);
    if (blk == 20)
      size = disk_size();
  }
  assert_true(disk_size() <= size + 16 * MIB);

  /* And that, too, once it is let go. */
  vhd_request_end(&h.req);
  write_blocks(image, 400, 8, 0xcc);
  bool used = false;
  assert_int_equal(pread(run.fd, &byte, 1, (off_t)run.file_off), 1);
  used = byte == 0xcc || byte == 0xbb;
  assert_true(used);
  close_disk(image);
}

/* What is freed as a whole is freed without a look at its bitmap. */
static void
test_trim_reads_nothing(void **state)
{
  (void)state;
  struct vhd_image *image = crew_open(DISK, NULL, 64 * MIB, MIB);
  struct vhd_error err;
  struct hand h;

  write_blocks(image, 0, 30, 1);
  assert_int_equal(vhd_close(image, &err), 0);
  assert_int_equal(vhd_open(DISK, NULL, &image, &err), 0);
  for (int op = 0; op < 2; op++) {
    hand_start(&h, image, op == 0 ? VHD_TRIM : VHD_ZERO, op * 15 * MIB,
               15 * MIB, NULL, 0);
    while (h.state != HAND_DONE) {
      hand_step(&h);
      for (unsigned i = 0; h.state == HAND_WAITS && i < h.req.nio; i++)
        assert_int_not_equal(h.req.io[i].kind, VHD_IO_READ);
      hand_perform(&h);
    }
    assert_int_equal(h.req.result, 0);
  }
  close_disk(image);
}

int
main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_room_reserved),
    cmocka_unit_test(test_room_given_back),
    cmocka_unit_test(test_end),
    cmocka_unit_test(test_reclaim),
    cmocka_unit_test(test_nothing_given_back),
    cmocka_unit_test(test_failed_write),
    cmocka_unit_test(test_pin),
    cmocka_unit_test(test_trim_reads_nothing),
  };

  crew_bound_cpu(20);
  if (argc > 1)
    cmocka_set_test_filter(argv[1]);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
