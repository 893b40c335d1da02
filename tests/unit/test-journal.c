/* SPDX-License-Identifier: BSD-2-Clause */
/* The journal: what it holds, and what it tells of its image's file. */
#include "config.h"

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "image/journal.h"
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

/* As tar puts a backup back, which was made in the second of our last write;
 * the file system keeps more of a time. */
static void
test_put_back_in_seconds(void **state)
{
  (void)state;
  struct file_stamp then = moved(stamp_now(), -HOUR, -HOUR, 0);
  struct journal *j = stamped(&then);

  clock_offset = SECOND / 2 - stamp_now().mtime % SECOND;
  int64_t begun = journal_begin(j, 4096);
  struct file_stamp now = stamp_now();
  journal_end(j, begun, true);
  clock_offset = 0;
  assert_true(fits(j, moved(now, 0, HOUR, 0)));
  assert_false(fits(j, moved(now, -(now.mtime % SECOND), HOUR, 0)));
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

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_untouched),
    cmocka_unit_test(test_changed_by_us),
    cmocka_unit_test(test_in_flight),
    cmocka_unit_test(test_clock_set_back),
    cmocka_unit_test(test_clock_set_back_a_little),
    cmocka_unit_test(test_clock_set_back_and_nothing_written),
    cmocka_unit_test(test_killed_twice),
    cmocka_unit_test(test_put_back),
    cmocka_unit_test(test_seconds),
    cmocka_unit_test(test_put_back_in_seconds),
    cmocka_unit_test(test_copy),
    cmocka_unit_test(test_widen),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
