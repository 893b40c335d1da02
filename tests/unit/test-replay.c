/* SPDX-License-Identifier: BSD-2-Clause */
/* Taking over what a killed process left in its journal: more than a live image
 * lets be dirty at once, huge blocks, what is hostile, and what dates the file
 * that a journal belongs to. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bounds.h"
#include "image/journal.h"
#include "image/open.h"
#include "image/replay.h"
#include "store/local.h"
#include "unit/unit.h"

#define HOUR (3600 * 1000000000LL)

static uint8_t mem[1 << 20];

#define BLOCK 4096u
#define NBLK 10240u
#define NPARTLY 9000u /* more than a live image lets be dirty at once */

_Static_assert(NPARTLY > DIRTY_MAX && NPARTLY > BITMAPS_BYTES / 512 &&
                 NPARTLY < JOURNAL_RECORDS, "nothing out of bounds is tried");

/* A parent full of 'p', and a child whose blocks have slots, and no bits. */
static void
make_chain(void)
{
  static char data[1 << 20];
  struct vhd_create_options parent = { .size = (uint64_t)NBLK * BLOCK };
  struct vhd_create_options child = { .parent = "parent.vhd",
                                      .flags = VHD_CREATE_FULL,
                                      .block_size = BLOCK };
  struct vhd_image *image;
  struct vhd_error err;

  unlink("child.vhd");
  unlink("parent.vhd");
  memset(data, 'p', sizeof data);
  if (vhd_create("parent.vhd", &parent, &err) < 0 ||
      vhd_open("parent.vhd", NULL, &image, &err) < 0)
    fail_msg("%s", err.message);
  for (uint64_t off = 0; off < parent.size; off += sizeof data)
    assert_int_equal(vhd_pwrite(image, data, sizeof data, off, 0), 0);
  assert_int_equal(vhd_close(image, NULL), 0);
  if (vhd_create("child.vhd", &child, &err) < 0)
    fail_msg("%s", err.message);
}

static struct vhd_image *
open_layer(const char *path, uint32_t flags)
{
  struct vhd_file *file;
  struct vhd_image *image;
  struct vhd_error err;

  if (local_open(path, flags ? LOCAL_READ : LOCAL_WRITE, &file, &err) < 0 ||
      image_new(file, flags, &image, &err) < 0)
    fail_msg("%s", err.message);
  return image;
}

static int
try_chain(uint32_t flags, struct journal *journal, struct vhd_image **image,
          struct vhd_error *err)
{
  struct vhd_image *parent = open_layer("parent.vhd", VHD_OPEN_READONLY);

  *image = open_layer("child.vhd", flags);
  if (image_start(parent, NULL, false, err) < 0 ||
      image_set_parent(*image, parent) < 0)
    fail_msg("%s", err->message);
  int e = journal ? replay_check(*image, journal, err) : 0;
  if (e == 0)
    e = image_start(*image, journal, flags == 0, err);
  if (e < 0)
    image_free(*image);
  return e;
}

static struct vhd_image *
open_chain(uint32_t flags, struct journal *journal)
{
  struct vhd_image *image;
  struct vhd_error err;

  if (try_chain(flags, journal, &image, &err) < 0)
    fail_msg("%s", err.message);
  return image;
}

/* The first sector of the first blocks is the child's, all else its
 * parent's. */
static void
check_disk(struct vhd_image *image)
{
  static const uint8_t zeros[512];
  uint8_t data[BLOCK], p[BLOCK];

  memset(p, 'p', sizeof p);
  for (uint32_t blk = 0; blk < NBLK; blk++) {
    size_t own = blk < NPARTLY ? 512 : 0;
    assert_int_equal(vhd_pread(image, data, BLOCK, (uint64_t)blk * BLOCK), 0);
    assert_memory_equal(data, zeros, own);
    assert_memory_equal(data + own, p, BLOCK - own);
  }
}

static struct journal *
fill_journal(void)
{
  struct journal *j = journal_format(mem, journal_bytes(JOURNAL_RECORDS));

  for (uint32_t blk = 0; blk < NPARTLY; blk++)
    journal_append(j, (struct journal_record){ JOURNAL_BITS, blk, 0, 1 });
  return j;
}

static void
test_much_is_read(void **state)
{
  (void)state;
  make_chain();
  struct vhd_image *image = open_chain(VHD_OPEN_READONLY, fill_journal());
  check_disk(image);
  image_free(image);
}

static void
test_much_is_written_down(void **state)
{
  (void)state;
  struct journal *j = fill_journal();

  make_chain();
  struct vhd_image *image = open_chain(0, j);
  check_disk(image);
  assert_true(journal_empty(j));
  image_free(image);
  image = open_chain(VHD_OPEN_READONLY, NULL);
  check_disk(image);
  image_free(image);
}

/* ----------------------------------------------------------------- hostile */

/* All of its blocks have slots. */
static void
make_small(void)
{
  struct vhd_create_options small = { .size = 16 * BLOCK, .block_size = BLOCK,
                                      .flags = VHD_CREATE_FULL };
  struct vhd_error err;

  unlink("small.vhd");
  if (vhd_create("small.vhd", &small, &err) < 0)
    fail_msg("%s", err.message);
}

/* The records lead back to where they began, but in between one block lies
 * where another's data are. */
static void
test_overlap_in_between(void **state)
{
  (void)state;
  struct vhd_error err;

  make_small();
  for (int writable = 0; writable < 2; writable++) {
    struct vhd_image *image =
      open_layer("small.vhd", writable ? 0 : VHD_OPEN_READONLY);
    const struct bat *table = &image->top->layout.bat;
    const uint32_t bat[] = { bat_slot(table, 0), bat_slot(table, 1) };
    const struct journal_record records[] = {
      { JOURNAL_BAT, 0, bat[0], NO_SLOT }, { JOURNAL_BAT, 1, bat[1], bat[0] },
      { JOURNAL_BAT, 1, bat[0], bat[1] }, { JOURNAL_BAT, 0, NO_SLOT, bat[0] },
    };
    struct journal *j = journal_format(mem, journal_bytes(16));
    for (size_t i = 0; i < sizeof records / sizeof *records; i++)
      journal_append(j, records[i]);
    err.code = VHD_OK;
    assert_int_equal(replay_check(image, j, &err), -EIO);
    assert_int_equal(err.code, VHD_JOURNAL);
    image_free(image);
  }
}

/* And where neither has anything by the file's table. */
static void
test_overlap_elsewhere(void **state)
{
  (void)state;
  struct vhd_error err = { .code = VHD_OK };

  make_small();
  struct vhd_image *image = open_layer("small.vhd", 0);
  struct bat *bat = &image->top->layout.bat;
  uint32_t slot = bat_slot(bat, 0);
  struct journal *j = journal_format(mem, journal_bytes(16));

  bat_set(bat, 0, NO_SLOT);
  bat_set(bat, 1, NO_SLOT);
  assert_int_equal(layout_recheck(image->top->file, &image->top->layout, &err),
                   0);
  for (uint32_t blk = 0; blk < 2; blk++) {
    journal_append(j, (struct journal_record){ JOURNAL_BAT, blk, NO_SLOT,
                                               slot + blk });
    assert_int_equal(replay_check(image, j, &err), blk == 0 ? 0 : -EIO);
    journal_append(j, (struct journal_record){ JOURNAL_BAT, blk, slot + blk,
                                               NO_SLOT });
  }
  image_free(image);
}

#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__ && \
  defined __GLIBC__
#define FAILING_MEMORY

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);

static unsigned failing; /* the n-th from now on; 0: none */

static bool
fails(void)
{
  return failing > 0 && --failing == 0;
}

/* Instead of the C library's. */
void *
malloc(size_t size)
{
  return fails() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
  return fails() ? NULL : __libc_calloc(n, size);
}

/* Whichever is missing: it is not said that the image was changed, and that
 * what was acknowledged may be thrown away. */
static void
test_no_memory(void **state)
{
  (void)state;
  struct journal *j = journal_format(mem, journal_bytes(16));
  unsigned n = 0;
  int e;

  make_small();
  do {
    struct vhd_error err = { .code = VHD_OK };
    struct vhd_image *image = open_layer("small.vhd", 0);
    uint32_t slot = bat_slot(&image->top->layout.bat, 0);
    if (n == 0)
      journal_append(j, (struct journal_record){ JOURNAL_BAT, 0, slot,
                                                 NO_SLOT });
    failing = ++n;
    e = replay_check(image, j, &err);
    bool tried = failing == 0;
    failing = 0;
    assert_int_equal(e, tried ? -ENOMEM : 0);
    assert_int_equal(err.code, tried ? VHD_SYSTEM : VHD_OK);
    image_free(image);
  } while (e < 0);
  assert_true(n > 4);
}
#endif

/* -------------------------------------------------------- what dates a file */

/* Zeros are punched into a block: no byte was written, but the file's mtime is
 * the process's own, and a chmod(2) later does no harm. */
static void
test_punched(void **state)
{
  (void)state;
  struct journal *j = journal_format(mem, journal_bytes(16));
  struct file_stamp stamp;
  struct vhd_error err;

  make_small();
  struct vhd_image *image = open_layer("small.vhd", 0);
  assert_int_equal(file_stamp(image->top->file, &stamp), 0);
  journal_stamp(j, &stamp);
  if (image_start(image, j, true, &err) < 0)
    fail_msg("%s", err.message);
  file_probe(image->top->file);
  assert_int_equal(vhd_zero(image, BLOCK, 0, 0), 0);
  assert_false(journal_empty(j));
  assert_int_equal(vhd_zero(image, BLOCK / 2, BLOCK + BLOCK / 2, 0),
                   0);
  assert_int_equal(file_stamp(image->top->file, &stamp), 0);
  assert_true(journal_fits(j, &stamp));
  stamp.ctime += HOUR;
  assert_true(journal_fits(j, &stamp));
  stamp.mtime += HOUR;
  assert_false(journal_fits(j, &stamp));
  stamp.mtime -= 2 * HOUR;
  assert_false(journal_fits(j, &stamp));
  image_free(image);
}

/* ---------------------------------------------------------------- the space */

#define PLACE (64U << 10) /* check says nothing of less */
#define NPLACE 8u

static struct vhd_image *
open_places(struct journal *j)
{
  struct vhd_image *image = open_layer("places.vhd", 0);
  struct vhd_error err;

  if (image_start(image, j, true, &err) < 0)
    fail_msg("%s", err.message);
  return image;
}

static void
ignore(void *opaque, const struct vhd_finding *finding)
{
  (void)opaque;
  (void)finding;
}

/* What blocks left and a process was killed before it had punched it is given
 * back by who comes then. */
static void
test_given_back(void **state)
{
  (void)state;
  struct journal *j = journal_format(mem, journal_bytes(2 * NPLACE));
  const struct vhd_create_options opt = { .size = NPLACE * PLACE,
                                          .block_size = PLACE };
  struct vhd_check_result result;
  static uint8_t data[NPLACE * PLACE] = { 1 };

  unlink("places.vhd");
  assert_int_equal(vhd_create("places.vhd", &opt, NULL), 0);
  struct vhd_image *image = open_places(j);
  assert_int_equal(vhd_pwrite(image, data, sizeof data, 0, VHD_FUA), 0);
  for (unsigned blk = 0; blk < NPLACE - 1; blk++) {
    struct vhd_request req; /* and nothing after it, as vhd_trim() does */
    assert_int_equal(vhd_request_start(&req, image, VHD_TRIM, blk * PLACE,
                                       PLACE, NULL, 0), 0);
    assert_int_equal(vhd_request_run(&req), 0);
  }
  image_free(image);

  image = open_places(j);
  assert_int_equal(image_finish(image), 0);
  image_free(image);
  assert_int_equal(vhd_check("places.vhd", NULL, ignore, NULL, &result, NULL),
                   0);
  assert_int_equal(result.errors, 0);
  assert_int_equal(result.leaked, 0);
}

#define HUGE_BLOCK (256U << 20)
#define NHUGE 300u

/* Lengthens a file by so much of nothing, which begins where its footer lay. */
static uint64_t
lengthen(const char *path, uint64_t len)
{
  uint8_t footer[512];
  struct stat st;

  int fd = open(path, O_RDWR | O_CLOEXEC);
  assert_int_equal(fstat(fd, &st), 0);
  off_t end = st.st_size + (off_t)len;
  if (pread(fd, footer, 512, st.st_size - 512) != 512 ||
      ftruncate(fd, end) < 0 || pwrite(fd, footer, 512, end - 512) != 512)
    fail_msg("%s cannot be lengthened", path);
  close(fd);
  return (uint64_t)st.st_size - 512;
}

/* One sector of each huge block, whose bitmap takes 64 KiB. */
static struct journal *
fill_huge(void)
{
  const uint64_t slot_bytes = HUGE_BLOCK + (HUGE_BLOCK >> 12);
  struct vhd_create_options parent = { .size = (uint64_t)NHUGE * HUGE_BLOCK };
  struct vhd_create_options child = { .parent = "parent.vhd",
                                      .block_size = HUGE_BLOCK };
  struct journal *j = journal_format(mem, journal_bytes(4 * NHUGE));
  struct vhd_error err;

  unlink("child.vhd");
  unlink("parent.vhd");
  if (vhd_create("parent.vhd", &parent, &err) < 0 ||
      vhd_create("child.vhd", &child, &err) < 0)
    fail_msg("%s", err.message);
  uint64_t from = lengthen("child.vhd", NHUGE * slot_bytes);
  for (uint32_t blk = 0; blk < NHUGE; blk++) {
    uint32_t slot = (uint32_t)((from + blk * slot_bytes) / 512);
    journal_append(j, (struct journal_record){ JOURNAL_BAT, blk, NO_SLOT,
                                               slot });
    journal_append(j, (struct journal_record){ JOURNAL_BITS, blk, blk, 1 });
  }
  return j;
}

_Static_assert(NHUGE * (HUGE_BLOCK >> 12) > REPLAY_BITMAPS_BYTES,
               "the bound is not reached");

/* An image that is only read cannot write them down: it says what to do. */
static void
test_huge_is_read(void **state)
{
  (void)state;
  struct journal *j = fill_huge();
  struct vhd_error err = { .code = VHD_OK };
  struct vhd_image *image;

  assert_int_equal(try_chain(VHD_OPEN_READONLY, j, &image, &err), -ENOMEM);
  assert_int_equal(err.code, VHD_JOURNAL);
  assert_non_null(strstr(err.message, "for writing"));
}

/* Which image of the chain a sector is in. */
static unsigned
depth_at(struct vhd_image *image, uint64_t off)
{
  struct vhd_run run;
  unsigned n = 1;

  assert_int_equal(vhd_map(image, 512, off, &run, &n), 0);
  return run.depth;
}

/* The cache stays as large as any. */
static void
test_huge_is_written_down(void **state)
{
  (void)state;
  struct journal *j = fill_huge();

  struct vhd_image *image = open_chain(0, j);
  assert_true(image->top->bitmaps.n <= BITMAPS_LEAST);
  assert_true(journal_empty(j));
  image_free(image);
  image = open_chain(VHD_OPEN_READONLY, NULL);
  for (uint64_t blk = 0; blk < NHUGE; blk++) {
    assert_int_equal(depth_at(image, blk * HUGE_BLOCK + blk * 512), 0);
    assert_int_equal(depth_at(image, blk * HUGE_BLOCK + (blk + 1) * 512), 1);
  }
  image_free(image);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_much_is_read),
    cmocka_unit_test(test_much_is_written_down),
    cmocka_unit_test(test_overlap_in_between),
    cmocka_unit_test(test_overlap_elsewhere),
#ifdef FAILING_MEMORY
    cmocka_unit_test(test_no_memory),
#endif
    cmocka_unit_test(test_punched),
    cmocka_unit_test(test_given_back),
    cmocka_unit_test(test_huge_is_read),
    cmocka_unit_test(test_huge_is_written_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
