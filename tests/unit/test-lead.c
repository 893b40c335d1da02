/* SPDX-License-Identifier: BSD-2-Clause */
/* test-lead: who leads a commit, on a thread of the queue, waits for those who
 * are expected, and for nobody else; and how many lead at once. */
#include "config.h"

#include <sched.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/engine.h"
#include "unit/unit.h"

#define MIB ((uint64_t)1 << 20)
#define HOUR_NS (UINT64_C(3600) * 1000000000)
#define DISK "disk.vhd"
#define SIZE 4096

/* A request, and what the server has of it. */
struct asker {
  struct vhd_request req;
  struct io_lead lead;
  atomic_bool woken;
};

/* The library's syncs: they wait while .held is true. */
static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool held;
} syncs = { .lock = PTHREAD_MUTEX_INITIALIZER,
            .changed = PTHREAD_COND_INITIALIZER };

int
fdatasync(int fd)
{
  (void)fd;
  pthread_mutex_lock(&syncs.lock);
  while (syncs.held)
    pthread_cond_wait(&syncs.changed, &syncs.lock);
  pthread_mutex_unlock(&syncs.lock);
  return 0;
}

static void
hold_syncs(bool hold)
{
  pthread_mutex_lock(&syncs.lock);
  syncs.held = hold;
  pthread_cond_broadcast(&syncs.changed);
  pthread_mutex_unlock(&syncs.lock);
}

static uint8_t data[SIZE];
static struct vhd_image *image;
static struct io_queue *queue;
static struct loop *loop; /* nobody runs it: what is posted stays there */

static int
open_all(void **state)
{
  (void)state;
  const struct vhd_create_options opt = { .size = 64 * MIB };
  assert_int_equal(vhd_create(DISK, &opt, NULL), 0);
  assert_int_equal(vhd_open(DISK, NULL, &image, NULL), 0);
  assert_int_equal(vhd_pwrite(image, data, SIZE, 0, VHD_FUA), 0);
  queue = io_queue_new();
  loop = loop_new(NULL, 0);
  assert_true(queue && loop);
  return 0;
}

static int
close_all(void **state)
{
  (void)state;
  io_queue_free(queue);
  loop_free(loop);
  vhd_close(image, NULL);
  return unlink(DISK);
}

static void
wake(struct vhd_request *req)
{
  struct asker *a = req->opaque;

  atomic_store(&a->woken, true);
}

/* Steps it until it is done or parked. */
static enum vhd_step
go(struct asker *a)
{
  enum vhd_step step;

  atomic_store(&a->woken, false);
  while ((step = vhd_request_step(&a->req)) == VHD_STEP_IO)
    for (unsigned i = 0; i < a->req.nio; i++)
      vhd_io_perform(&a->req.io[i]);
  return step;
}

/* Writes durably, as far as that goes without a commit. */
static void
write_durably(struct asker *a)
{
  assert_int_equal(vhd_request_start(&a->req, image, VHD_WRITE, 0, SIZE, data,
                                     VHD_FUA), 0);
  a->req.wake = wake;
  a->req.opaque = a;
  assert_int_equal(go(a), VHD_STEP_PARKED);
}

static void
lead(struct asker *a)
{
  assert_true(a->req.leads);
  a->lead.req = &a->req;
  a->lead.queue = queue;
  a->lead.loop = loop;
  io_lead(&a->lead);
}

static bool
is_waiting(void)
{
  pthread_mutex_lock(&queue->gather.lock);
  bool waiting = queue->gather.waiting;
  pthread_mutex_unlock(&queue->gather.lock);
  return waiting;
}

/* How many have been posted since the last call. */
static unsigned
posted(void)
{
  struct task *task;
  unsigned n = 0;

  pthread_mutex_lock(&loop->lock);
  STAILQ_FOREACH(task, &loop->inbox, link)
    n++;
  STAILQ_INIT(&loop->inbox);
  pthread_mutex_unlock(&loop->lock);
  return n;
}

static void
assert_led(struct asker *a)
{
  while (posted() == 0)
    sched_yield();
  assert_int_equal(a->lead.step, VHD_STEP_DONE);
  assert_int_equal(a->req.result, 0);
}

/* As it is when a commit has ended a moment ago that served so many. */
static void
expect(unsigned n, uint64_t ended)
{
  queue->gather.expected = n;
  queue->gather.ended = ended;
}

static void
test_alone(void **state)
{
  (void)state;
  struct asker one;

  write_durably(&one);
  lead(&one);
  assert_led(&one);
  assert_int_equal(queue->gather.expected, 1);
  assert_true(queue->gather.sync_ns > 0);
}

static void
test_together(void **state)
{
  (void)state;
  struct asker one, two;

  expect(2, clock_ns() + HOUR_NS);
  write_durably(&one);
  lead(&one);
  while (!is_waiting()) {
    assert_int_equal(posted(), 0);
    sched_yield();
  }
  write_durably(&two);
  assert_false(two.req.leads);
  io_join(queue);
  assert_led(&one);
  assert_true(atomic_load(&two.woken));
  assert_int_equal(go(&two), VHD_STEP_DONE);
  assert_int_equal(two.req.result, 0);
  assert_int_equal(queue->gather.expected, 2);
}

/* Nobody comes: after that it is not waited for, longer each time. */
static void
test_in_vain(void **state)
{
  (void)state;
  struct asker one;

  queue->gather.sync_ns = 0;
  for (unsigned i = 1; i <= 3; i++) {
    expect(2, clock_ns());
    write_durably(&one);
    lead(&one);
    assert_led(&one);
    assert_int_equal(queue->gather.in_vain, i < 3 ? 1 : 3);
    assert_int_equal(queue->gather.hurry, i == 1 ? 1 : i == 2 ? 0 : 3);
  }
}

/* Waits until so many leaders have begun, and so many more want to. */
static void
wait_for_leaders(unsigned running, unsigned joined)
{
  struct io_gather *gather = &queue->gather;
  bool good = false;

  while (!good) {
    sched_yield();
    pthread_mutex_lock(&gather->lock);
    good = gather->running == running && gather->joined == joined;
    pthread_mutex_unlock(&gather->lock);
  }
}

/* Two that lead, one of them once the other has begun; both end. */
static void
lead_two(bool at_once)
{
  struct asker one, two;
  unsigned ended = 0;

  hold_syncs(true);
  write_durably(&one);
  lead(&one);
  wait_for_leaders(1, 0);
  write_durably(&two);
  lead(&two);
  wait_for_leaders(at_once ? 2 : 1, at_once ? 0 : 1);
  hold_syncs(false);
  while (ended < 2)
    ended += posted();
  assert_int_equal(one.req.result, 0);
  assert_int_equal(two.req.result, 0);
}

static void
test_at_once(void **state)
{
  (void)state;
  lead_two(false);
  queue->gather.leaders = 2;
  queue->gather.hurry = 2;
  lead_two(true);
}

/* A window is over in which requests came to their end at some rate. */
static void
end_window(uint64_t rate_before)
{
  struct io_gather *gather = &queue->gather;
  struct asker one;

  gather->rate = rate_before;
  gather->ended = clock_ns();
  gather->window = (struct io_window){
    .began = gather->ended - HOUR_NS, .served = 1000000, .commits = 1000,
  };
  write_durably(&one);
  lead(&one);
  assert_led(&one);
}

/* Another number is tried now and then, and stays only if it pays. */
static void
test_how_many(void **state)
{
  (void)state;
  struct io_gather *gather = &queue->gather;
  const uint64_t worse = 0, better = UINT32_MAX;

  assert_int_equal(gather->leaders, 1);
  end_window(worse);
  assert_true(gather->trying);
  assert_int_equal(gather->leaders, 2);
  end_window(better);
  assert_false(gather->trying);
  assert_int_equal(gather->leaders, 1);
  gather->held = gather->hold - 1;
  end_window(worse);
  assert_int_equal(gather->leaders, 2);
  end_window(worse);
  assert_false(gather->trying);
  assert_int_equal(gather->leaders, 2);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_alone, open_all, close_all),
    cmocka_unit_test_setup_teardown(test_together, open_all, close_all),
    cmocka_unit_test_setup_teardown(test_in_vain, open_all, close_all),
    cmocka_unit_test_setup_teardown(test_at_once, open_all, close_all),
    cmocka_unit_test_setup_teardown(test_how_many, open_all, close_all),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
