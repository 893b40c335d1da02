/* SPDX-License-Identifier: BSD-2-Clause */
/* The journal: what it holds, what it tells of its image's file, and who still
 * has it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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

static int64_t clock_offset;

/* Instead of the C library's. */
int
clock_gettime(clockid_t clock, struct timespec *t)
{
  int e = (int)syscall(SYS_clock_gettime, clock, t);
  int64_t at = t->tv_sec * SECOND + t->tv_nsec + clock_offset;

  *t = (struct timespec){ at / SECOND, at % SECOND };
  return e;
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

/* It was set back a little, between two writes. */
static void
test_clock_set_back_a_little(void **state)
{
  (void)state;
  struct file_stamp then = moved(stamp_now(), -HOUR, -HOUR, 0);
  struct journal *j = stamped(&then);

  clock_offset = SECOND / 2;
  int64_t begun = journal_begin(j, 4096);
  struct file_stamp ahead = stamp_now();
  journal_end(j, begun, true);
  assert_true(fits(j, ahead));
  clock_offset = 0;
  begun = journal_begin(j, 4096);
  assert_true(fits(j, ahead));
  struct file_stamp now = stamp_now();
  assert_true(fits(j, now));
  journal_end(j, begun, true);
  assert_true(fits(j, now));
  assert_true(fits(j, moved(now, 0, HOUR, 0)));
  assert_false(fits(j, moved(now, -SECOND, HOUR, 0)));
  assert_false(fits(j, moved(now, 2 * SECOND, 2 * SECOND, 0)));
}

/* The file has its times of before until it is changed. */
static void
test_clock_set_back_and_nothing_written(void **state)
{
  (void)state;
  struct file_stamp then = moved(stamp_now(), HOUR, HOUR, 0);
  struct journal *j = stamped(&then);

  int64_t begun = journal_begin(j, 4096);
  assert_true(fits(j, then));
  journal_end(j, begun, false);
  assert_true(fits(j, then));
  assert_true(fits(j, stamp_now()));
  assert_false(fits(j, moved(then, HOUR, HOUR, 0)));
  journal_end(j, journal_begin(j, 4096), true);
  assert_false(fits(j, then));
}

/* Who took it over was killed too, and had written nothing yet. */
static void
test_killed_twice(void **state)
{
  (void)state;
  struct file_stamp then = moved(stamp_now(), -HOUR, -HOUR, 0);
  struct journal *from = stamped(&then);
  struct journal *to = journal_format(mem + 4096, journal_bytes(16));

  int64_t begun = journal_begin(from, 4096);
  struct file_stamp now = stamp_now();
  journal_end(from, begun, true);
  journal_append(from, (struct journal_record){ JOURNAL_BITS, 1, 2, 3 });
  journal_stamp(to, &now);
  journal_copy(to, from, &now);
  journal_end(to, journal_begin(to, 0), false);
  assert_true(fits(to, now));
  assert_true(fits(to, moved(now, 0, HOUR, 0)));
  assert_false(fits(to, moved(now, -SECOND, HOUR, 0)));
  assert_false(fits(to, moved(now, HOUR, HOUR, 0)));
}

/* The file as it was before our last change of it. */
static void
test_put_back(void **state)
{
  (void)state;
  struct file_stamp then = moved(stamp_now(), -HOUR, -HOUR, 0);
  struct journal *j = stamped(&then);

  int64_t begun = journal_begin(j, 4096);
  struct file_stamp now = stamp_now();
  journal_end(j, begun, true);
  assert_true(fits(j, now));
  assert_false(fits(j, moved(now, -SECOND, -SECOND, 0)));
  assert_false(fits(j, then));
  /* With the time of then, copied now. */
  assert_false(fits(j, moved(now, -HOUR, HOUR, 0)));
  assert_true(fits(j, moved(now, 0, HOUR, 0)));
}

/* A file system that keeps no more of a time. */
static void
test_seconds(void **state)
{
  (void)state;
  struct file_stamp then = moved(stamp_now(), -HOUR, -HOUR, 0);
  struct journal *j = stamped(&then);

  int64_t begun = journal_begin(j, 4096);
  struct file_stamp now = stamp_now();
  journal_end(j, begun, true);
  now = moved(now, -(now.mtime % SECOND), -(now.ctime % SECOND), 0);
  assert_true(fits(j, now));
  assert_true(fits(j, moved(now, 0, HOUR - now.ctime % SECOND, 0)));
  assert_false(fits(j, moved(now, -SECOND, -SECOND, 0)));
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
  journal_copy(to, from, &(struct file_stamp){ .mtime = 1 });
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

/* -------------------------------------------------------- it cannot be told */

static const struct vhd_host *plain;

static int
open_but_boot_id(void *failure, int folder, const char *path, int flags,
                 unsigned mode)
{
  return strstr(path, "boot_id") ? -*(int *)failure
                                 : plain->open(plain->opaque, folder, path,
                                               flags, mode);
}

static int
write_and_die(void)
{
  const struct vhd_create_options options = { .size = 16 << 20 };
  struct vhd_image *image;
  int status;

  pid_t pid = fork();
  if (pid == 0)
    _exit(vhd_create("killed.vhd", &options, NULL) < 0 ||
          vhd_open("killed.vhd", NULL, &image, NULL) < 0 ||
          vhd_pwrite(image, "2", 1, 0, 0) < 0);
  return pid < 0 || waitpid(pid, &status, 0) < 0 ? -1 : status;
}

/* This process has not learned the id of the boot yet. */
static void
test_unknown_boot(void **state)
{
  (void)state;
  int failure[] = { EMFILE, EIO, ENOENT };
  struct vhd_image *image;
  struct vhd_error err;
  char byte;

  assert_int_equal(write_and_die(), 0);
  plain = vhd_host();
  struct vhd_host host = *plain;
  host.open = open_but_boot_id;
  for (size_t i = 0; i < sizeof failure / sizeof *failure; i++) {
    host.opaque = &failure[i];
    vhd_set_host(&host);
    assert_true(vhd_open("killed.vhd", NULL, &image, &err) < 0);
    assert_non_null(strstr(err.message, "cannot tell"));
  }
  vhd_set_host(NULL);
  assert_int_equal(vhd_open("killed.vhd", NULL, &image, &err), 0);
  assert_int_equal(vhd_pread(image, &byte, 1, 0), 0);
  assert_int_equal(byte, '2');
  assert_int_equal(vhd_close(image, &err), 0);
}

static int
open_but_shared(void *failure, int folder, const char *path, int flags,
                unsigned mode)
{
  return strcmp(path, "/dev/shm") == 0 && !(flags & O_PATH)
           ? -*(int *)failure
           : plain->open(plain->opaque, folder, path, flags, mode);
}

/* Where other users' journals lie cannot be listed: not there or closed to us,
 * it has none for us; of other reasons it may. */
static void
test_unlisted_places(void **state)
{
  (void)state;
  const int failure[] = { ENOENT, EACCES, EMFILE, ENFILE, ENOMEM, EIO };
  const struct vhd_open_options unlocked = {
    .flags = VHD_OPEN_READONLY | VHD_OPEN_UNLOCKED
  };
  const struct vhd_create_options options = { .size = 1 << 20 };
  struct vhd_image *image;
  struct vhd_error err;

  assert_int_equal(vhd_create("unlisted.vhd", &options, NULL), 0);
  plain = vhd_host();
  struct vhd_host host = *plain;
  host.open = open_but_shared;
  vhd_set_host(&host);
  for (size_t i = 0; i < sizeof failure / sizeof *failure; i++) {
    host.opaque = (void *)(uintptr_t)&failure[i];
    int e = vhd_open("unlisted.vhd", NULL, &image, &err);
    assert_int_equal(e, i < 2 ? 0 : -failure[i]);
    if (e == 0)
      assert_int_equal(vhd_close(image, &err), 0);
    else
      assert_non_null(strstr(err.message, "cannot tell"));
    assert_int_equal(vhd_open("unlisted.vhd", &unlocked, &image, &err), 0);
    assert_int_equal(vhd_close(image, &err), 0);
  }
  vhd_set_host(NULL);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_unknown_boot),
    cmocka_unit_test(test_unlisted_places),
    cmocka_unit_test(test_untouched),
    cmocka_unit_test(test_changed_by_us),
    cmocka_unit_test(test_in_flight),
    cmocka_unit_test(test_clock_set_back),
    cmocka_unit_test(test_clock_set_back_a_little),
    cmocka_unit_test(test_clock_set_back_and_nothing_written),
    cmocka_unit_test(test_killed_twice),
    cmocka_unit_test(test_put_back),
    cmocka_unit_test(test_seconds),
    cmocka_unit_test(test_copy),
    cmocka_unit_test(test_widen),
    cmocka_unit_test(test_exchanged),
    cmocka_unit_test(test_dying),
    cmocka_unit_test(test_not_dying),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
