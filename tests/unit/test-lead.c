/* SPDX-License-Identifier: BSD-2-Clause */
/* test-lead: who leads a commit, on a thread of the queue, waits for those who
 * are expected, and for nobody else. */
#include "config.h"

#include <sched.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container.h"
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
  atomic_bool told; /* that it has led, before that was posted */
};

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

/* Writes, and asks for that to be durable, as far as that goes without a
 * commit. */
static void
write_durably(struct asker *a)
{
  assert_int_equal(vhd_pwrite(image, data, SIZE, 0, 0), 0);
  assert_int_equal(vhd_request_start(&a->req, image, VHD_FLUSH, 0, 0, NULL, 0),
                   0);
  a->req.wake = wake;
  a->req.opaque = a;
  assert_int_equal(go(a), VHD_STEP_PARKED);
}

static void
ended(struct io_lead *led)
{
  struct asker *a = CONTAINER_OF(led, struct asker, lead);

  pthread_mutex_lock(&loop->lock);
  atomic_store(&a->told,
               STAILQ_EMPTY(&loop->inbox) && led->step == VHD_STEP_DONE);
  pthread_mutex_unlock(&loop->lock);
}

static void
lead(struct asker *a)
{
  assert_true(a->req.leads);
  atomic_store(&a->told, false);
  a->lead = (struct io_lead){
    .req = &a->req, .queue = queue, .loop = loop, .ended = ended
  };
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

static bool
is_posted(void)
{
  pthread_mutex_lock(&loop->lock);
  bool posted = !STAILQ_EMPTY(&loop->inbox);
  STAILQ_INIT(&loop->inbox);
  pthread_mutex_unlock(&loop->lock);
  return posted;
}

static void
assert_led(struct asker *a)
{
  while (!is_posted())
    sched_yield();
  assert_true(atomic_load(&a->told));
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
    assert_false(is_posted());
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

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_alone, open_all, close_all),
    cmocka_unit_test_setup_teardown(test_together, open_all, close_all),
    cmocka_unit_test_setup_teardown(test_in_vain, open_all, close_all),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
