/* SPDX-License-Identifier: BSD-2-Clause */
/* The journal: what it holds, what it tells of its image's file, who still has
 * it, and taking over more than a live image lets be dirty at once. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bounds.h"
#include "image/journal.h"
#include "image/open.h"
#include "image/replay.h"
#include "store/journal_file.h"
#include "store/local.h"
#include "unit/unit.h"

#define SECOND 1000000000LL
#define HOUR (3600 * SECOND)

static uint8_t mem[1 << 20];

/* A journal whose image's file was last seen as `stamp`. */
static struct journal *
stamped(const struct file_stamp *stamp)
{
  struct journal *j = journal_format(mem, journal_bytes(16));

  journal_stamp(j, stamp);
  return j;
}

static struct file_stamp
stamp_now(void)
{
  struct timespec t;

  clock_gettime(CLOCK_REALTIME, &t);
  int64_t at = t.tv_sec * SECOND + t.tv_nsec;
  return (struct file_stamp){ .size = 4096, .mtime = at, .ctime = at };
}

static struct file_stamp
moved(struct file_stamp stamp, int64_t mtime, int64_t ctime, int64_t size)
{
  stamp.mtime += mtime;
  stamp.ctime += ctime;
  stamp.size = (uint64_t)((int64_t)stamp.size + size);
  return stamp;
}

static bool
fits(const struct journal *j, struct file_stamp stamp)
{
  return journal_fits(j, &stamp);
}

static void
test_untouched(void **state)
{
  (void)state;
  struct file_stamp then = stamp_now();
  struct journal *j = stamped(&then);

  assert_true(fits(j, then));
  assert_false(fits(j, moved(then, 0, HOUR, 0)));
  assert_false(fits(j, moved(then, HOUR, HOUR, 0)));
  assert_false(fits(j, moved(then, 0, -HOUR, 0)));
  assert_false(fits(j, moved(then, 0, 0, 1)));
  assert_false(fits(j, moved(then, 0, 0, -1)));
}

static void
test_changed_by_us(void **state)
{
  (void)state;
  struct file_stamp then = moved(stamp_now(), -HOUR, -HOUR, 0);
  struct journal *j = stamped(&then);

  int64_t begun = journal_begin(j, 8192);
  journal_end(j, begun, true);
  struct file_stamp ours = { .size = 8192, .mtime = begun, .ctime = begun };
  assert_true(fits(j, ours));
  assert_true(fits(j, moved(ours, 0, 0, -4096)));
  assert_false(fits(j, moved(ours, 0, 0, 1)));
  assert_false(fits(j, moved(ours, HOUR, HOUR, 0)));
  /* Renamed, given to another: only its ctime is new. */
  assert_true(fits(j, moved(ours, 0, HOUR, 0)));
  /* A restored backup has an mtime of before. */
  assert_false(fits(j, moved(ours, -SECOND, HOUR, 0)));
}

static void
test_in_flight(void **state)
{
  (void)state;
  struct file_stamp then = stamp_now();
  struct journal *j = stamped(&then);

  journal_begin(j, 4096);
  int64_t begun = journal_begin(j, 4096);
  assert_true(fits(j, moved(then, SECOND, SECOND, 0)));
  assert_false(fits(j, moved(then, HOUR, HOUR, 0)));
  journal_end(j, begun, true);
  assert_true(fits(j, moved(then, SECOND, SECOND, 0)));
  journal_end(j, begun, true);
  assert_false(fits(j, moved(then, HOUR, HOUR, 0)));
}

/* The clock was set back by an hour since the file was seen. */
static void
test_clock_set_back(void **state)
{
  (void)state;
  struct file_stamp now = stamp_now();
  struct file_stamp then = moved(now, HOUR, HOUR, 0);
  struct journal *j = stamped(&then);

  journal_end(j, journal_begin(j, 4096), true);
  assert_true(fits(j, now));
  assert_false(fits(j, then));
  assert_false(fits(j, moved(now, -HOUR, -HOUR, 0)));
}

static void
test_copy(void **state)
{
  (void)state;
  struct journal *from = journal_format(mem, journal_bytes(4));
  struct journal *to = journal_format(mem + 4096, journal_bytes(16));
  struct journal_record rec = { JOURNAL_BITS, 1, 2, 3 };

  for (unsigned i = 0; i < 5; i++) {
    rec.blk = i;
    journal_append(from, rec);
    if (i < 2)
      journal_trim(from, journal_mark(from));
  }
  journal_copy(to, from);
  assert_int_equal(journal_room(to), 16 - 3);
  assert_non_null(journal_adopt(mem + 4096, journal_bytes(16)));
}

static int
check_next(void *opaque, const struct journal_record *rec)
{
  uint32_t *next = opaque;

  assert_int_equal(rec->blk, (*next)++);
  return 0;
}

/* Wherever in the ring the records lie, and however many there are, they are
 * there before and after, and as many more fit as the new ring is longer. */
static void
test_widen(void **state)
{
  (void)state;
  for (uint32_t trimmed = 0; trimmed < 40; trimmed++)
    for (uint32_t n = 0; n <= 8; n++) {
      struct journal *j = journal_format(mem, journal_bytes(8));
      struct journal_record rec = { .kind = JOURNAL_BITS };
      for (; rec.blk < trimmed; rec.blk++) {
        journal_append(j, rec);
        journal_trim(j, journal_mark(j));
      }
      for (; rec.blk < trimmed + n; rec.blk++)
        journal_append(j, rec);
      journal_widen(j, journal_bytes(32));
      assert_int_equal(journal_used(j), n);
      assert_int_equal(journal_room(j), 32 - n);
      for (; rec.blk < trimmed + 32; rec.blk++)
        journal_append(j, rec);
      uint32_t next = trimmed;
      journal_each(j, check_next, &next);
      assert_int_equal(next, trimmed + 32);
    }
}

/* -------------------------------------------------------------- its folder */

/* What a process left for this file in a folder. */
static struct vhd_file *
leave_journal(const char *dir, struct journal_file *jf)
{
  static const uint8_t id[16] = "an image's id";
  struct vhd_file *file;
  struct vhd_error err;

  unlink("image");
  assert_int_equal(vhd_create("image", &(struct vhd_create_options){
                                         .size = 1 << 20 }, &err), 0);
  assert_int_equal(local_open("image", LOCAL_WRITE, &file, &err), 0);
  memset(jf, 0, sizeof *jf);
  if (journal_file_make(dir, file, id, journal_bytes(16), 0, jf) < 0)
    skip();
  assert_int_equal(journal_file_publish(file, jf), 0);
  journal_file_close(jf, file, false);
  assert_int_equal(journal_file_find(dir, file, id, false, 4096, jf,
                                     &err), 0);
  assert_int_equal(jf->found, JOURNAL_LEFT);
  return file;
}

/* The folder's owner moves it aside and puts another in its place. */
static void
test_exchanged(void **state)
{
  (void)state;
  char dir[] = "/dev/shm/test-journal.XXXXXX", aside[80], again[80];
  struct journal_file jf;

  assert_non_null(mkdtemp(dir));
  struct vhd_file *file = leave_journal(dir, &jf);
  snprintf(aside, sizeof aside, "%s.aside", dir);
  assert_int_equal(rename(dir, aside), 0);
  assert_int_equal(mkdir(dir, 0700), 0);
  FILE *victim = fopen(jf.path, "w");
  assert_non_null(victim);
  fclose(victim);
  journal_file_forget(file, &jf);
  assert_int_equal(access(jf.path, F_OK), 0);
  snprintf(again, sizeof again, "%s%s", aside, strrchr(jf.path, '/'));
  assert_int_equal(unlink(again), 0);
  assert_int_equal(unlink(jf.path), 0);
  rmdir(dir);
  rmdir(aside);
  journal_file_close(&jf, file, false);
  file_close(file);
}

/* The process that has the journal in use: it lets go of it after so many naps
 * of whoever waits. */
static int holder = -1;
static unsigned naps, last_nap;

/* Instead of the C library's: no time passes. */
int
usleep(useconds_t usec)
{
  (void)usec;
  if (++naps == last_nap)
    close(holder);
  return 0;
}

/* What is found of a journal that somebody holds until then, 0: for good. */
static int
find_held(unsigned until, enum journal_left *found, struct vhd_error *err)
{
  static const uint8_t id[16] = "an image's id";
  char dir[] = "/dev/shm/test-journal.XXXXXX";
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
  struct journal_file jf;

  assert_non_null(mkdtemp(dir));
  struct vhd_file *file = leave_journal(dir, &jf);
  holder = open(jf.path, O_RDWR | O_CLOEXEC);
  assert_int_equal(fcntl(holder, F_OFD_SETLK, &lock), 0);
  journal_file_close(&jf, file, false);
  naps = 0;
  last_nap = until;
  int e = journal_file_find(dir, file, id, false, 4096, &jf, err);
  *found = jf.found;
  if (naps < until || until == 0)
    close(holder);
  assert_int_equal(unlink(jf.path), 0);
  rmdir(dir);
  journal_file_close(&jf, file, false);
  file_close(file);
  return e;
}

/* A process that is being killed has its files closed one by one: the image's
 * lock may be free before the journal's. */
static void
test_dying(void **state)
{
  (void)state;
  enum journal_left found;
  struct vhd_error err;

  assert_int_equal(find_held(3, &found, &err), 0);
  assert_int_equal(found, JOURNAL_LEFT);
  assert_int_equal(naps, 3);
}

static void
test_not_dying(void **state)
{
  (void)state;
  enum journal_left found;
  struct vhd_error err = { .code = VHD_OK };

  assert_int_equal(find_held(0, &found, &err), -EBUSY);
  assert_int_equal(err.code, VHD_JOURNAL);
  assert_int_not_equal(found, JOURNAL_LEFT);
  assert_true(naps > 0);
}

/* ------------------------------------------------------------------ replay */

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
  assert_int_equal(vhd_zero(image, BLOCK / 2, BLOCK, 0), 0);
  assert_int_equal(file_stamp(image->top->file, &stamp), 0);
  assert_true(fits(j, stamp));
  assert_true(fits(j, moved(stamp, 0, HOUR, 0)));
  assert_false(fits(j, moved(stamp, HOUR, HOUR, 0)));
  assert_false(fits(j, moved(stamp, -HOUR, HOUR, 0)));
  image_free(image);
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
    cmocka_unit_test(test_untouched),
    cmocka_unit_test(test_changed_by_us),
    cmocka_unit_test(test_in_flight),
    cmocka_unit_test(test_clock_set_back),
    cmocka_unit_test(test_copy),
    cmocka_unit_test(test_widen),
    cmocka_unit_test(test_exchanged),
    cmocka_unit_test(test_dying),
    cmocka_unit_test(test_not_dying),
    cmocka_unit_test(test_much_is_read),
    cmocka_unit_test(test_much_is_written_down),
    cmocka_unit_test(test_overlap_in_between),
    cmocka_unit_test(test_overlap_elsewhere),
    cmocka_unit_test(test_punched),
    cmocka_unit_test(test_huge_is_read),
    cmocka_unit_test(test_huge_is_written_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
