/* SPDX-License-Identifier: BSD-2-Clause */
/* test-durable: durable writes of an engine, to a disk of our own whose syncs
 * end when the test says so: who shares a sync, how many there are at once, and
 * who is told of a failure. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container.h"
#include "io/engine.h"
#include "store/file.h"
#include "unit/unit.h"

#define HOUR_NS (UINT64_C(3600) * 1000000000)
#define ASKERS 16
#define SYNC_US 1000
#define BAD_OFF 512 /* no write there is possible */

enum pace {
  HELD,     /* syncs end when let_go() is called */
  PARALLEL, /* they take a while, as many at once as come */
  SERIAL,   /* one after the other */
};

static struct {
  struct vhd_file file;
  pthread_mutex_t lock, turn;
  pthread_cond_t changed;
  enum pace pace;
  bool let_go, failed;
  unsigned writes, syncs, under_way, most;
} disk = {
  .lock = PTHREAD_MUTEX_INITIALIZER,
  .turn = PTHREAD_MUTEX_INITIALIZER,
  .changed = PTHREAD_COND_INITIALIZER,
};

/* A write, and what the server has of it. */
struct asker {
  struct io_batch batch;
  struct vhd_io io;
  bool done;
  unsigned ended, ending; /* asked for an end, told of all ends: when */
};

static struct asker askers[ASKERS];
static unsigned calls; /* .ended and .ending so far */
static struct io_queue *queue;
static struct loop *loop; /* nobody runs it: what is posted stays there */

static void
take_time(void)
{
  if (disk.pace == SERIAL)
    pthread_mutex_lock(&disk.turn);
  usleep(SYNC_US);
  if (disk.pace == SERIAL)
    pthread_mutex_unlock(&disk.turn);
}

static int
sync_disk(void)
{
  pthread_mutex_lock(&disk.lock);
  disk.syncs++;
  if (++disk.under_way > disk.most)
    disk.most = disk.under_way;
  pthread_cond_broadcast(&disk.changed);
  if (disk.pace != HELD) {
    pthread_mutex_unlock(&disk.lock);
    take_time();
    pthread_mutex_lock(&disk.lock);
  }
  while (disk.pace == HELD && !disk.let_go)
    pthread_cond_wait(&disk.changed, &disk.lock);
  disk.under_way--;
  const int result = disk.failed ? -EIO : 0;
  pthread_mutex_unlock(&disk.lock);
  return result;
}

static int
perform(struct vhd_file *file, struct vhd_io *io)
{
  assert_ptr_equal(file, &disk.file);
  if (io->kind == VHD_IO_WRITE) {
    if (io->off == BAD_OFF)
      return -ENOSPC;
    pthread_mutex_lock(&disk.lock);
    disk.writes++;
    pthread_mutex_unlock(&disk.lock);
    if (!(io->flags & VHD_IO_DURABLE))
      return 0;
  }
  return sync_disk();
}

static int
begin(void **state)
{
  static const struct file_ops ops = { .perform = perform };

  (void)state;
  disk.file = (struct vhd_file){ .ops = &ops, .fd = -1 };
  disk.pace = HELD;
  disk.let_go = disk.failed = false;
  disk.writes = disk.syncs = disk.under_way = disk.most = 0;
  queue = io_queue_new();
  loop = loop_new(NULL, 0);
  assert_true(queue && loop);
  return 0;
}

static int
end(void **state)
{
  (void)state;
  io_queue_free(queue);
  loop_free(loop);
  return 0;
}

static void
submit(struct asker *a, uint64_t off)
{
  static char data[512];

  memset(a, 0, sizeof *a);
  a->io = (struct vhd_io){ .file = &disk.file, .fd = -1, .buf = data,
                           .kind = VHD_IO_WRITE, .flags = VHD_IO_DURABLE,
                           .off = off, .len = sizeof data, .result = 1 };
  a->batch.loop = loop;
  a->batch.queue = queue;
  a->batch.jobs[0].io = &a->io;
  io_submit(&a->batch, 1);
}

/* Takes those that are done; how many. */
static unsigned
posted(void)
{
  unsigned n = 0;
  struct task *task;

  pthread_mutex_lock(&loop->lock);
  STAILQ_FOREACH(task, &loop->inbox, link) {
    CONTAINER_OF(task, struct asker, batch.done)->done = true;
    n++;
  }
  STAILQ_INIT(&loop->inbox);
  pthread_mutex_unlock(&loop->lock);
  return n;
}

static void
wait_until_done(unsigned n)
{
  while (n > 0) {
    n -= posted();
    sched_yield();
  }
}

static void
wait_for_syncs(unsigned n)
{
  pthread_mutex_lock(&disk.lock);
  while (disk.under_way != n)
    pthread_cond_wait(&disk.changed, &disk.lock);
  pthread_mutex_unlock(&disk.lock);
}

static void
let_go(void)
{
  pthread_mutex_lock(&disk.lock);
  disk.let_go = true;
  pthread_cond_broadcast(&disk.changed);
  pthread_mutex_unlock(&disk.lock);
}

/* One syncer or several, and no trying. */
static void
fix_syncers(bool several)
{
  queue->durables.several = several;
  queue->durables.hold = UINT32_MAX / 2;
}

/* Those who come during a sync share the next one. */
static void
test_share(void **state)
{
  (void)state;
  fix_syncers(false);
  submit(&askers[0], 0);
  wait_for_syncs(1);
  for (unsigned i = 1; i < 6; i++)
    submit(&askers[i], 0);
  let_go();
  wait_until_done(6);
  for (unsigned i = 0; i < 6; i++)
    assert_int_equal(askers[i].io.result, 0);
  assert_int_equal(disk.writes, 6);
  assert_int_equal(disk.syncs, 2);
  assert_int_equal(disk.most, 1);
}

/* As many as are allowed are under way at once, and what comes then is divided
 * among them. */
static void
test_several(void **state)
{
  (void)state;
  fix_syncers(true);
  for (unsigned i = 0; i < IO_SYNCERS; i++) {
    submit(&askers[i], 0);
    wait_for_syncs(i + 1);
  }
  for (unsigned i = IO_SYNCERS; i < ASKERS; i++)
    submit(&askers[i], 0);
  let_go();
  wait_until_done(ASKERS);
  assert_int_equal(disk.writes, ASKERS);
  assert_in_range(disk.syncs, IO_SYNCERS + 1, ASKERS);
  assert_int_equal(disk.most, IO_SYNCERS);
}

static bool
is_waiting(void)
{
  return atomic_load(&queue->durables.gather.waiting) > 0;
}

/* Of two who are expected, the first waits. */
static void
test_expected(void **state)
{
  (void)state;
  fix_syncers(false);
  queue->durables.gather.expected = 2;
  queue->durables.gather.ended = clock_ns() + HOUR_NS;
  let_go();
  submit(&askers[0], 0);
  while (!is_waiting())
    sched_yield();
  assert_int_equal(disk.syncs, 0);
  submit(&askers[1], 0);
  wait_until_done(2);
  assert_int_equal(disk.syncs, 1);
}

/* A sync that fails is everybody's who shares it; a write, its own. */
static void
test_failure(void **state)
{
  (void)state;
  fix_syncers(false);
  submit(&askers[0], 0);
  wait_for_syncs(1);
  submit(&askers[1], 0);
  submit(&askers[2], BAD_OFF);
  submit(&askers[3], 0);
  disk.failed = true;
  let_go();
  wait_until_done(4);
  for (unsigned i = 1; i < 4; i++) {
    const struct vhd_io *io = &askers[i].io;
    assert_int_equal(io->result, i == 2 ? -ENOSPC : -EIO);
    assert_int_equal(io->flags, VHD_IO_DURABLE | (i == 2 ? 0 : VHD_IO_LOST));
  }
}

/* Nothing is written any more for a client that has gone. */
static void
test_cancelled(void **state)
{
  (void)state;
  const atomic_bool yes = true;

  fix_syncers(false);
  submit(&askers[0], 0);
  wait_for_syncs(1);
  for (unsigned i = 1; i < 3; i++) {
    submit(&askers[i], 0);
    askers[i].batch.cancel = &yes;
    askers[i].batch.data = askers[i].io.buf;
    askers[i].batch.data_len = askers[i].io.len;
  }
  let_go();
  wait_until_done(3);
  assert_int_equal(askers[1].io.result, -ECANCELED);
  assert_int_equal(askers[2].io.result, -ECANCELED);
  assert_int_equal(disk.writes, 1);
}

/* The second keeps its end for itself. */
static bool
ended(struct io_batch *batch)
{
  struct asker *a = CONTAINER_OF(batch, struct asker, batch);

  a->ended = ++calls;
  return a != &askers[2];
}

static void
ending(struct io_batch *batch)
{
  CONTAINER_OF(batch, struct asker, batch)->ending = ++calls;
}

/* All who share a sync are asked first, then told, then posted. */
static void
test_early(void **state)
{
  (void)state;
  fix_syncers(false);
  submit(&askers[0], 0);
  wait_for_syncs(1);
  calls = 0;
  for (unsigned i = 1; i < 4; i++) {
    submit(&askers[i], 0);
    askers[i].batch.ended = ended;
    askers[i].batch.ending = ending;
  }
  let_go();
  wait_until_done(3);
  assert_false(askers[2].done);
  for (unsigned i = 1; i < 4; i++)
    assert_int_equal(askers[i].ended, i);
  assert_int_equal(askers[1].ending, 4);
  assert_int_equal(askers[2].ending, 0);
  assert_int_equal(askers[3].ending, 5);
}

struct found {
  bool several, trying;
  unsigned hold;
};

static struct found
found(void)
{
  struct io_durables *d = &queue->durables;

  pthread_mutex_lock(&d->lock);
  const struct found f = { d->several, d->trying, d->hold };
  pthread_mutex_unlock(&d->lock);
  return f;
}

/* All askers write, again and again, until that has been found. */
static void
write_until(bool (*enough)(const struct found *))
{
  struct found f;

  for (unsigned i = 0; i < ASKERS; i++)
    submit(&askers[i], 0);
  do {
    posted();
    for (unsigned i = 0; i < ASKERS; i++)
      if (askers[i].done)
        submit(&askers[i], 0);
    usleep(SYNC_US / 10);
    f = found();
  } while (!enough(&f));
  for (unsigned i = 0; i < ASKERS; i++)
    while (!askers[i].done) {
      posted();
      sched_yield();
    }
}

static bool
is_several(const struct found *f)
{
  return f->several && !f->trying;
}

/* Several have been tried in vain. */
static bool
is_one(const struct found *f)
{
  return !f->several && !f->trying && f->hold > 4;
}

/* On a disk that does many at once there are many. */
static void
test_parallel(void **state)
{
  (void)state;
  disk.pace = PARALLEL;
  write_until(is_several);
  assert_true(disk.most > 1);
  disk.pace = SERIAL;
  write_until(is_one);
}

/* Otherwise there is one, and others are tried less and less. */
static void
test_serial(void **state)
{
  (void)state;
  disk.pace = SERIAL;
  write_until(is_one);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_share, begin, end),
    cmocka_unit_test_setup_teardown(test_several, begin, end),
    cmocka_unit_test_setup_teardown(test_expected, begin, end),
    cmocka_unit_test_setup_teardown(test_failure, begin, end),
    cmocka_unit_test_setup_teardown(test_cancelled, begin, end),
    cmocka_unit_test_setup_teardown(test_early, begin, end),
    cmocka_unit_test_setup_teardown(test_parallel, begin, end),
    cmocka_unit_test_setup_teardown(test_serial, begin, end),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
